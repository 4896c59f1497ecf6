// The time of a call, and what it depends on: one model for schedules of a model (candidates.h) and for shapes of
// models that do not exist yet (estimate.h).
#pragma once

#include <cstdint>

#include "codegen/plan/estimate.h"
#include "codegen/plan/schedule.h"

namespace mithral::codegen {

struct Work {
  int64_t n_features;           // D
  int64_t n_outputs;            // M
  int64_t n_codebooks;          // C
  int64_t n_entries;            // K
  double encoder_instructions;  // per vector of W rows
  double n_lines;               // of a row-major row that hold columns which are read
  double n_columns;             // that are read
  double n_staged;              // of these, of row-major rows
  double n_groups;              // of codebooks whose entries are added in bytes
  CodeLayout codes;
  int table_blocks;                               // of ScanSchedule
  int tile_outputs;                               // of AccumulateSchedule
  int64_t min_outputs;                            // of AccumulateSchedule
  int linear_outputs;                             // of ScanSchedule
  int linear_rows;                                // of AccumulateSchedule
  std::shared_ptr<const Work> latents = nullptr;  // of the model whose outputs are latents; none: there are none
  bool makes_latents = false;                     // in the midst of a call, to columns that stay in cache
};

Work work_of(const Model& model, const Schedule& schedule, const Target& target);

// By the rules that choose_schedule follows.
Work work_of(const ModelShape& shape, const Target& target);

// Seconds of one of many rows: float32 from memory, row-major float32 to it.
double row_seconds(const Work& work, const Target& target, InputOrder order);

// Seconds of a call.
double call_seconds(const Work& work, int64_t n_rows, const Target& target, InputOrder order);

// Seconds of a call of the exact product of rows of n_features.
double exact_seconds(int64_t n_features, int64_t n_outputs, int64_t n_rows, const Target& target);

}  // namespace mithral::codegen
