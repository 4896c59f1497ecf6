// The ahead-of-time kernels: the same routines, arguments and layouts as emitted code, but ordinary C++ that reads the
// model at run time. Built once per ISA (generic_<isa>.cpp, each compiled for it) and chosen at run time.
#pragma once

#include <cstdint>

namespace mithral {

// Fixed when they were compiled; schedules of generic kernels must agree.
inline constexpr int kGenericLanes = 8;
inline constexpr int kGenericTableBlocks = 4;
inline constexpr int kGenericMaxDepth = 8;
inline constexpr int kGenericSlots = 8;             // threshold slots of a level, at least
inline constexpr int kGenericSegmentEntries = 16;   // table entries of a segment
inline constexpr int kGenericRowTileOutputs = 128;  // outputs of a row that are accumulated at a time
inline constexpr int kGenericMaxQuantised = 127;    // of linear dims
inline constexpr int kGenericGroupSize = 4;         // codebooks of a group, at most

// Sizes, groups and trees as flat arrays, for code that may not use the standard library (see generic_routines.h).
// Tables come as arguments, like those of emitted code.
struct GenericModel {
  int64_t n_codebooks;
  int64_t n_entries;
  int64_t n_outputs;
  int64_t tile_outputs;
  int64_t compared_outputs;
  int64_t n_fours;             // of linear dims
  int64_t zeros_offset;        // floats from an inverse step of theirs to its zero
  int32_t scale_of_entries;    // 2^shift: how often sums of table entries count, where there are linear dims
  int64_t block_bytes;         // of codes and quantised linear dims
  int64_t n_segments;          // of a table
  int64_t bytes_of_codebooks;  // of an output's tables that look-ups read, and then with its weights
  int64_t bytes_of_output;
  int64_t n_groups[kGenericGroupSize];  // of one codebook, of two, ... whose entries are added in bytes
  const int32_t* grouped_codebooks;     // (C) group by group
  float least;  // float32 outputs that are not above it become it: 0 for ReLU, or minus infinity

  // Of hash trees; codes that are given need none of this.
  int64_t depth;
  int64_t n_columns;
  int64_t staged_rows;
  const int32_t* columns;        // (n_columns) input columns that are read
  const int32_t* level_columns;  // (C, L) index into columns
  const float* thresholds;       // (C, slots of all levels): node i of a level of s slots is in slot -i modulo s
};

// A routine, called with the struct that codegen/program/routine.h names for its kind.
using GenericRoutine = void (*)(const GenericModel& model, const void* arguments);

// The kernels of one ISA.
struct GenericBuild {
  GenericRoutine stage_rows, encode, quantise, scan_to_rows, scan_to_columns, sums_to_rows, sums_to_columns,
      range_to_columns, argmax, accumulate_rows, accumulate_sums;
  bool tables_hold_differences;  // as codegen/scan/lut_segments.h says; or else plain entries
};

extern const GenericBuild kGenericAvx2;
extern const GenericBuild kGenericBaseline;

}  // namespace mithral
