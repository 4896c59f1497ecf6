#include <algorithm>

#include "codegen/error.h"
#include "codegen/schedule.h"
#include "codegen/tree_structure.h"

namespace mithral::codegen {
namespace {

constexpr int64_t kFloatBytes = 4;

int64_t round_down(int64_t value, int64_t multiple) { return value / multiple * multiple; }

// Staged columns fill at most half of L1, the other half being the rows they come from.
int64_t choose_staged_rows(int64_t n_columns, const Target& target) {
  const int64_t rows = target.l1_bytes / 2 / (kFloatBytes * std::max<int64_t>(n_columns, 1));
  return std::clamp<int64_t>(round_down(rows, target.block_rows()), target.block_rows(), 4 * target.block_rows());
}

// Codes fill at most half of L1, so that the scan finds them there for every output. Few outputs read them only a few
// times: then longer chunks pay, because column-major input is read in longer runs.
int64_t choose_chunk_blocks(const Model& model, int tall_tile, const Target& target) {
  const int64_t block_bytes = model.n_codebooks() * target.block_rows();
  const bool few_outputs = model.n_outputs() <= 32;
  const int64_t budget = few_outputs ? target.l2_bytes / 4 : target.l1_bytes / 2;
  return std::max<int64_t>(round_down(budget / block_bytes, tall_tile), tall_tile);
}

}  // namespace

Schedule choose_schedule(const Model& model, const Target& target) {
  const auto n_columns = static_cast<int64_t>(analyse_trees(model).columns.size());
  Schedule schedule{};
  schedule.lut_groups = group_codebooks(model);
  schedule.tall_tile = 4;
  schedule.tile_outputs = 64;  // runs of four cache lines a row: shorter ones wait for every line they write to
  schedule.staged_rows = static_cast<int>(choose_staged_rows(n_columns, target));
  schedule.chunk_blocks = static_cast<int>(choose_chunk_blocks(model, schedule.tall_tile, target));
  // One group ahead. On Zen 3 row-major staging is up to 3.7 times slower without; on Ice Lake it costs 5 %, and longer
  // distances cost 10 %.
  schedule.prefetch_rows = 8;
  return schedule;
}

void check_schedule(const Schedule& schedule, const Model& model, const Target& target) {
  ensure(schedule.tall_tile >= 1 && (schedule.tall_tile & (schedule.tall_tile - 1)) == 0,
         "tall_tile is a power of two");
  ensure(schedule.tile_outputs >= 4 && schedule.tile_outputs % 4 == 0, "tile_outputs is a multiple of 4");
  ensure(schedule.staged_rows >= target.block_rows() && schedule.staged_rows % target.block_rows() == 0,
         "staged_rows is a multiple of the block");
  ensure(schedule.chunk_blocks >= 1 && schedule.chunk_blocks % schedule.tall_tile == 0,
         "chunk_blocks is a multiple of tall_tile");
  ensure(schedule.prefetch_rows >= 0, "prefetch_rows is not negative");
  prove_no_overflow(model, schedule.lut_groups);
}

}  // namespace mithral::codegen
