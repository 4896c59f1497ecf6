#include <algorithm>

#include "codegen/encode/trees/tree_structure.h"
#include "codegen/model/error.h"
#include "codegen/model/multiples.h"
#include "codegen/plan/schedule.h"
#include "codegen/scan/lut_segments.h"
#include "codegen/scan/word_sums.h"

namespace mithral::codegen {
namespace {

constexpr int64_t kFloatBytes = 4;
constexpr int64_t kMaxStagedRows = 128;

// Features that codes of four codebooks to a lane need.
constexpr FeatureSet kFourCodebooksNeed = {Feature::kByteTables, Feature::kByteDots};

// Four codebooks a look-up where the target has it and trees are as shallow as it asks; but not if padding the
// codebooks to a multiple of four makes the tables too large to be reached.
CodeLayout choose_layout(const Model& model, const Target& target) {
  CodeLayout four{CodeLayout::Packing::kFourCodebooks, target.lanes(), model.n_codebooks()};
  const bool fits = four.block_bytes() * model.n_outputs() <= Model::kMaxTableBytes;
  if (fits && target.features.contains(kFourCodebooksNeed) && model.n_leaves() <= CodeLayout::kFourthEntries)
    return four;
  return {CodeLayout::Packing::kFourRows, target.lanes(), model.n_codebooks()};
}

// Averages save an operation a group, but cost six at the end and share the load of a table among fewer blocks. That
// pays for many groups, most of them of a single codebook. Measured on an Ice Lake (avx2): 12 % for 32 groups, 6 % for
// 16. Of a Zen 3 only llvm-mca was asked: 16 lose 12 %, 32 lose 1 %, 64 gain 8 % if broadcasts take no shuffle port;
// its model says that they do, and then even 64 lose 6 %.
GroupSums choose_group_sums(const Model& model, const LutGroups& groups, const Target& target) {
  constexpr size_t kMinGroups = 32;
  const bool many = groups.size() >= kMinGroups && groups.size() <= kMaxAveragedGroups;
  const bool mostly_single = static_cast<size_t>(model.n_codebooks()) < 2 * groups.size();
  const bool one_segment = model.n_leaves() <= kSegmentEntries;  // else look-ups cost more than sums, and registers
  if (!many || !mostly_single || !one_segment) return GroupSums::kPairs;
  constexpr int kMinBlocks = 2;  // that share the load of a table
  return registers_of_averages(groups, kMinBlocks) <= target.n_vector_regs ? GroupSums::kAverages : GroupSums::kPairs;
}

// Staged columns fill at most half of L1, the other half being the rows they come from.
int64_t choose_staged_rows(int64_t n_columns, int64_t block_rows, const Target& target) {
  const int64_t rows = target.l1_bytes / 2 / (kFloatBytes * std::max<int64_t>(n_columns, 1));
  return std::clamp<int64_t>(round_down(rows, block_rows), block_rows, kMaxStagedRows);
}

// Rows of a table are read by the vector, so short ones do not pay: on an Ice Lake it breaks even at 32 to 64 outputs
// for any ISA and number of codebooks. Shuffles look up deep trees segment by segment; this does not.
int64_t choose_accumulate_from(const Model& model, const CodeLayout& codes, const Target& target) {
  constexpr int64_t kBreakEven = 48;
  const int64_t reached = !target.has(Feature::kByteTables)                      ? kSegmentEntries
                          : codes.packing == CodeLayout::Packing::kFourCodebooks ? model.n_leaves()
                                                                                 : 64;
  return kBreakEven / divide_up(model.n_leaves(), reached);
}

// Their outputs fill at most an eighth of L2.
int choose_accumulated_rows(const Model& model, const Target& target) {
  const int64_t rows = target.l2_bytes / 8 / (model.n_outputs() * kFloatBytes);
  return static_cast<int>(std::clamp<int64_t>(round_down(rows, target.lanes()), target.lanes(), kMaxStagedRows));
}

// Codes fill at most half of L1, so that the scan finds them there for every output. Few outputs read them only a few
// times: then longer chunks pay, because column-major input is read in longer runs.
int64_t choose_chunk_blocks(const Model& model, const CodeLayout& codes, int tall_tile, const Target& target) {
  const bool few_outputs = model.n_outputs() <= 32;
  const int64_t budget = few_outputs ? target.l2_bytes / 4 : target.l1_bytes / 2;
  return std::max<int64_t>(round_down(budget / codes.block_bytes(), tall_tile), tall_tile);
}

// Many, since what the first ones are tells which of the others need no look; but half of L2 at most.
int choose_selected_outputs(const Schedule& schedule, const Target& target) {
  const int64_t output_bytes = kFloatBytes * schedule.tall_tile * schedule.codes.block_rows();
  return static_cast<int>(std::min<int64_t>(512, target.l2_bytes / 2 / output_bytes));
}

}  // namespace

// As far as there are registers: kFourRows holds three for every block, or with averages one a level (word_sums.h).
int choose_tall_tile(const Schedule& schedule, const Target& target) {
  if (schedule.codes.packing == CodeLayout::Packing::kFourCodebooks) return 8;
  int blocks = target.n_vector_regs >= 16 ? 4 : 2;
  if (schedule.group_sums == GroupSums::kAverages) {
    while (blocks > 1 && registers_of_averages(schedule.lut_groups, blocks) > target.n_vector_regs) blocks /= 2;
  }
  return blocks;
}

Schedule choose_schedule(const Model& model, const Target& target) {
  const auto n_columns = static_cast<int64_t>(analyse_trees(model).columns.size());
  Schedule schedule{};
  schedule.codes = choose_layout(model, target);
  schedule.lut_groups = group_codebooks(model);
  schedule.group_sums = choose_group_sums(model, schedule.lut_groups, target);
  schedule.tall_tile = choose_tall_tile(schedule, target);
  schedule.tile_outputs = 64;      // runs of four cache lines a row: shorter ones wait for every line they write to
  schedule.compared_outputs = 16;  // their values and tables leave L1 to the codes
  schedule.selected_outputs = choose_selected_outputs(schedule, target);
  schedule.row_tile_outputs = std::min(4 * target.vector_bytes, 128);  // beyond that sums, or tables in L1, get scarce
  schedule.accumulate_from = choose_accumulate_from(model, schedule.codes, target);
  schedule.accumulated_rows = choose_accumulated_rows(model, target);
  schedule.stream_bytes = target.stream_bytes;
  schedule.staged_rows = static_cast<int>(choose_staged_rows(n_columns, schedule.codes.block_rows(), target));
  schedule.chunk_blocks = static_cast<int>(choose_chunk_blocks(model, schedule.codes, schedule.tall_tile, target));
  schedule.prefetch_rows = target.prefetch_rows;
  return schedule;
}

void check_schedule(const Schedule& schedule, const Model& model, const Target& target) {
  const int block_rows = schedule.codes.block_rows();
  ensure(schedule.codes.lanes == target.lanes(), "codes are laid out for vectors of the target");
  ensure(schedule.codes.n_codebooks == model.n_codebooks(), "codes are laid out for the model's codebooks");
  if (schedule.codes.packing == CodeLayout::Packing::kFourCodebooks) {
    ensure(target.features.contains(kFourCodebooksNeed), "four codebooks need byte tables and dot products");
    ensure(model.n_leaves() <= CodeLayout::kFourthEntries, "four codebooks share a table of 64 entries");
    ensure(target.vector_bytes == 4 * CodeLayout::kFourthEntries, "a table of four codebooks is one vector");
  }
  ensure(schedule.group_sums == GroupSums::kPairs || schedule.lut_groups.size() <= kMaxAveragedGroups,
         "averages are of at most 64 groups");
  ensure(schedule.tall_tile >= 1 && (schedule.tall_tile & (schedule.tall_tile - 1)) == 0,
         "tall_tile is a power of two");
  ensure(schedule.tile_outputs >= 4 && schedule.tile_outputs % 4 == 0, "tile_outputs is a multiple of 4");
  ensure(schedule.compared_outputs >= 1, "compared_outputs is positive");
  ensure(schedule.selected_outputs >= 1, "selected_outputs is positive");
  ensure(schedule.row_tile_outputs >= target.vector_bytes && schedule.row_tile_outputs % target.vector_bytes == 0,
         "row_tile_outputs is a multiple of a vector's bytes");
  ensure(schedule.accumulated_rows >= target.lanes() && schedule.accumulated_rows % target.lanes() == 0,
         "accumulated_rows is a multiple of a vector's lanes");
  ensure(schedule.staged_rows >= block_rows && schedule.staged_rows % block_rows == 0,
         "staged_rows is a multiple of the block");
  ensure(schedule.chunk_blocks >= 1 && schedule.chunk_blocks % schedule.tall_tile == 0,
         "chunk_blocks is a multiple of tall_tile");
  ensure(schedule.prefetch_rows >= 0, "prefetch_rows is not negative");
  prove_no_overflow(model, schedule.lut_groups);
}

}  // namespace mithral::codegen
