// The ahead-of-time kernels: the same routines and layouts as emitted code, but ordinary C++ that reads the model at
// run time. Built once per ISA (generic_<isa>.cpp, each compiled for it) and chosen at run time.
#pragma once

#include <cstdint>

namespace mithral {

// Fixed when they were compiled; schedules of generic kernels must agree.
inline constexpr int kGenericLanes = 8;
inline constexpr int kGenericTallTile = 4;
inline constexpr int kGenericMaxDepth = 8;
inline constexpr int kGenericSlots = 8;             // threshold slots of a level, at least
inline constexpr int kGenericSegmentEntries = 16;   // table entries of a segment
inline constexpr int kGenericRowTileOutputs = 128;  // outputs of a row that are accumulated at a time
inline constexpr int kGenericGroupSize = 4;         // codebooks of a group, at most

// A model as flat arrays, for code that may not use the standard library (see generic_routines.h).
struct GenericModel {
  int64_t depth;
  int64_t n_codebooks;
  int64_t n_outputs;
  int64_t n_columns;
  int64_t staged_rows;
  int64_t tile_outputs;
  int64_t compared_outputs;
  int64_t n_segments;                   // of a table
  int64_t n_groups[kGenericGroupSize];  // of one codebook, of two, ... whose entries are added in bytes
  const int32_t* columns;               // (n_columns) input columns that the trees read
  const int32_t* level_columns;         // (C, L) index into columns
  const float* thresholds;              // (C, slots of all levels): node i of a level of s slots is in slot -i modulo s
  const int32_t* grouped_codebooks;     // (C) group by group
  const uint8_t* tables;                // (M, C, n_segments, 16), codebooks group by group
  const uint8_t* tables_by_leaf;        // as codegen/scan/row_tables.h says; only for the routines that accumulate rows
  const float* scale;                   // (M), padded to whole vectors of bytes
  const float* offset;                  // (M), padded like them
  float least;  // float32 outputs that are not above it become it: 0 for ReLU, or minus infinity
};

using GenericRoutine = void (*)(const GenericModel& model, const int64_t* args);

// In the order of codegen::Routine, as far as they go; arguments as there.
struct GenericRoutines {
  GenericRoutine routines[10];
  bool tables_hold_differences;  // as codegen/scan/lut_segments.h says; or else plain entries
};

extern const GenericRoutines kGenericAvx2;
extern const GenericRoutines kGenericBaseline;

}  // namespace mithral
