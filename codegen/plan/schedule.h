// How a model's work is cut up: sizes and orders only. A schedule never changes a result; tests run several and compare
// bytes.
#pragma once

#include <cstdint>

#include "codegen/model/model.h"
#include "codegen/program/code_layout.h"
#include "codegen/program/target.h"
#include "codegen/scan/lut_groups.h"

namespace mithral::codegen {

// How the byte sums of groups become 16-bit sums (word_sums.h).
enum class GroupSums { kPairs, kAverages };

struct Schedule {
  CodeLayout codes;         // where codes are between encoding and scanning (layout.h)
  LutGroups lut_groups;     // which table entries are added in bytes (lut_groups.h)
  GroupSums group_sums;     // how the groups are added in 16 bits, if there are several; of kFourRows, in scans
  int tall_tile;            // blocks that share one load of a table in the scan; the rest go one by one
  int tile_outputs;         // outputs that a row-major scan computes before it writes them out, a multiple of 4
  int compared_outputs;     // outputs that argmax computes before it compares them
  int selected_outputs;     // outputs that top-k computes before it selects among them
  int row_tile_outputs;     // outputs of a row that are accumulated at a time, a multiple of a vector's bytes
  int64_t accumulate_from;  // row-major rows of so many outputs are accumulated; shorter ones if they fill no block
  int accumulated_rows;     // rows between which a tile's tables stay in cache, a multiple of W
  int64_t stream_bytes;  // calls that touch so many bytes write float32 outputs past the caches, where that is possible
  int staged_rows;       // rows of row-major input that are copied into columns at a time, a multiple of the block
  int chunk_blocks;      // blocks that are encoded, then scanned, before the next ones: their codes stay in cache
  int prefetch_rows;     // row-major input: how many rows ahead to prefetch; 0: none

  bool row_fits_tile(int64_t n_outputs) const { return n_outputs <= row_tile_outputs; }
};

// The tall_tile for a schedule's layout, groups and sums: enough independent sums to hide the latency of adding to
// them.
int choose_tall_tile(const Schedule& schedule, const Target& target);

Schedule choose_schedule(const Model& model, const Target& target);

// Throws InternalError for a schedule that lowering cannot follow, or whose groups could overflow.
void check_schedule(const Schedule& schedule, const Model& model, const Target& target);

}  // namespace mithral::codegen
