#include <algorithm>
#include <bit>

#include "codegen/encode/encoder_lowering.h"
#include "codegen/encode/linear/lower_quantise.h"
#include "codegen/model/error.h"
#include "codegen/model/multiples.h"
#include "codegen/plan/schedule.h"
#include "codegen/program/sizes.h"
#include "codegen/scan/lookup_tables.h"
#include "codegen/scan/lut_segments.h"

namespace mithral::codegen {
namespace {

constexpr int64_t kMaxRowsAtOnce = 128;  // that are staged, or accumulated
constexpr int64_t kRowsOfRun = 256;      // of a column, or as many blocks: 16 lines of float32

// Features that codes of four codebooks to a lane need.
constexpr FeatureSet kFourCodebooksNeed = {Feature::kByteTables, Feature::kByteDots};

// Linear dims take ten registers of their own.
bool scarce_registers(const CodeLayout& codes, const Target& target) {
  return codes.n_linear > 0 && target.n_vector_regs <= 16;
}

// Sums of four rows, or outputs, of four vectors each are as many as registers hold beside their factors, and let each
// load of a factor serve four products. Where there are few dims the outputs take longer, which are written in longer
// runs without.
constexpr int kSumsAtOnce = 4;
constexpr int64_t kManyDims = 48;

bool many_dims_alone(const CodeLayout& codes, const Target& target) {
  return codes.n_codebooks == 0 && codes.n_linear >= kManyDims && !scarce_registers(codes, target);
}

// Staged columns fill at most half of L1, the other half being the rows they come from.
int64_t choose_staged_rows(int64_t n_columns, int64_t block_rows, const Target& target) {
  const int64_t rows = target.l1_bytes / 2 / (kFloatBytes * std::max<int64_t>(n_columns, 1));
  return std::clamp<int64_t>(round_down(rows, block_rows), block_rows, kMaxRowsAtOnce);
}

// Outputs of rows that are accumulated at once fill at most an eighth of L2.
int choose_accumulated_rows(const Model& model, const Target& target) {
  const int64_t rows = target.l2_bytes / 8 / (model.n_outputs() * kFloatBytes);
  return static_cast<int>(std::clamp<int64_t>(round_down(rows, target.lanes()), target.lanes(), kMaxRowsAtOnce));
}

// Codes fill at most half of L1, so that the scan finds them there for every output. Few outputs read them only a few
// times: then longer chunks pay, because column-major input is read in longer runs. Of many linear dims alone, whose
// reads outputs or rows share, so do chunks of all of L1. Many codes to a row would make short runs of these: unless
// outputs are many, longer ones pay, with codes in L2.
int64_t choose_chunk_blocks(const Model& model, const CodeLayout& codes, int table_blocks, const Target& target) {
  constexpr int64_t kFewOutputs = 32, kManyOutputs = 256;
  const int64_t of_l1 = many_dims_alone(codes, target) ? target.l1_bytes : target.l1_bytes / 2;
  const int64_t of_l2 = target.l2_bytes / 4, of_run = divide_up(kRowsOfRun, codes.block_rows()) * codes.block_bytes();
  int64_t budget = of_l1;
  if (model.n_outputs() <= kFewOutputs) {
    budget = of_l2;
  } else if (model.n_outputs() <= kManyOutputs) {
    budget = std::max(of_l1, std::min(of_l2, of_run));
  }
  return std::max<int64_t>(round_down(budget / codes.block_bytes(), table_blocks), table_blocks);
}

// Many, since what the first ones are tells which of the others need no look; but half of L2 at most.
int choose_selected_outputs(const Schedule& schedule, const Target& target) {
  const int64_t output_bytes = kFloatBytes * schedule.scan.table_blocks * schedule.codes.block_rows();
  return static_cast<int>(std::min<int64_t>(512, target.l2_bytes / 2 / output_bytes));
}

}  // namespace

// Four codebooks per look-up where the target has it and tables are as small as it asks.
CodeLayout choose_layout(int64_t n_codebooks, int64_t n_entries, int64_t n_linear, const Target& target) {
  const bool fours = target.features.contains(kFourCodebooksNeed) && n_entries <= CodeLayout::kFourthEntries;
  return {fours ? CodeLayout::Packing::kFourCodebooks : CodeLayout::Packing::kFourRows, target.lanes(), n_codebooks,
          n_linear};
}

int64_t table_reach(int64_t n_entries, const CodeLayout& codes, const Target& target) {
  constexpr int64_t kVectorEntries = 64;
  if (codes.packing == CodeLayout::Packing::kFourCodebooks) return CodeLayout::kFourthEntries;
  return fits_registers(n_entries, target) ? kVectorEntries : kSegmentEntries;
}

// Rows of a table are read by the vector, so short ones do not pay: on an Ice Lake it breaks even at 32 to 64 outputs
// for any ISA and number of codebooks. Shuffles look up large tables segment by segment; this does not.
int64_t choose_min_outputs(int64_t n_entries, const CodeLayout& codes, const Target& target) {
  constexpr int64_t kBreakEven = 48;
  return kBreakEven / divide_up(n_entries, table_reach(n_entries, codes, target));
}

// Beyond 128, sums, or tables in L1, get scarce; registers too where linear dims take their share.
int choose_tile_outputs(const CodeLayout& codes, const Target& target) {
  if (many_dims_alone(codes, target)) return kSumsAtOnce * target.lanes();
  return std::min((scarce_registers(codes, target) ? 2 : 4) * target.vector_bytes, 128);
}

// Beside look-ups of eight blocks there is room for a second output.
int choose_linear_outputs(const CodeLayout& codes, const Target& target) {
  if (codes.n_linear < kManyDims || codes.packing != CodeLayout::Packing::kFourCodebooks) return 1;
  return many_dims_alone(codes, target) ? kSumsAtOnce : 2;
}

int choose_linear_rows(const CodeLayout& codes, const Target& target) {
  return many_dims_alone(codes, target) ? kSumsAtOnce : 1;
}

// As far as there are registers: kFourRows holds three for every block.
int choose_table_blocks(const CodeLayout& codes, const Target& target) {
  if (codes.packing == CodeLayout::Packing::kFourCodebooks) return many_dims_alone(codes, target) ? kSumsAtOnce : 8;
  const int with_tables_alone = target.n_vector_regs >= 16 ? 4 : 2;
  return scarce_registers(codes, target) ? with_tables_alone / 2 : with_tables_alone;
}

Schedule choose_schedule(const Model& model, const EntryRanges& ranges, const Target& target) {
  Schedule schedule{};
  schedule.stage.row_vectors = count_row_vectors(model.linear(), target.lanes());
  const auto n_columns =
      static_cast<int64_t>(staged_columns(model, schedule.stage.row_vectors * target.lanes()).size());
  schedule.codes = choose_layout(model.n_codebooks(), model.n_entries(), model.linear().size(), target);
  schedule.groups = group_codebooks(ranges);
  schedule.stage.rows = static_cast<int>(choose_staged_rows(n_columns, schedule.codes.block_rows(), target));
  schedule.stage.prefetch_rows = target.prefetch_rows;
  schedule.scan.table_blocks = choose_table_blocks(schedule.codes, target);
  schedule.scan.tile_outputs = 64;  // runs of four cache lines a row: shorter ones wait for every line they write to
  schedule.scan.compared_outputs = 16;  // their values and tables leave L1 to the codes
  schedule.scan.selected_outputs = choose_selected_outputs(schedule, target);
  schedule.scan.linear_outputs = choose_linear_outputs(schedule.codes, target);
  schedule.accumulate.linear_rows = choose_linear_rows(schedule.codes, target);
  schedule.accumulate.tile_outputs = choose_tile_outputs(schedule.codes, target);
  schedule.accumulate.min_outputs = choose_min_outputs(model.n_entries(), schedule.codes, target);
  schedule.accumulate.rows = choose_accumulated_rows(model, target);
  schedule.call.chunk_blocks =
      static_cast<int>(choose_chunk_blocks(model, schedule.codes, schedule.scan.table_blocks, target));
  schedule.call.stream_bytes = target.stream_bytes;
  return schedule;
}

Schedule choose_schedule(const Model& model, const Target& target) {
  return choose_schedule(model, entry_ranges(model.tables()), target);
}

namespace {

void check_layout(const CodeLayout& codes, const Model& model, const Target& target) {
  ensure(codes.lanes == target.lanes(), "codes are laid out for vectors of the target");
  ensure(codes.n_codebooks == model.n_codebooks(), "codes are laid out for the model's codebooks");
  ensure(codes.n_linear == model.linear().size(), "codes are laid out for the model's linear dims");
  if (codes.packing != CodeLayout::Packing::kFourCodebooks) return;
  ensure(target.features.contains(kFourCodebooksNeed), "four codebooks need byte tables and dot products");
  ensure(model.n_entries() <= CodeLayout::kFourthEntries, "four codebooks share a table of 64 entries");
  ensure(target.vector_bytes == 4 * CodeLayout::kFourthEntries, "a table of four codebooks is one vector");
}

bool is_power_of_two(int n) { return n >= 1 && std::has_single_bit(static_cast<unsigned>(n)); }

void check_scan(const ScanSchedule& scan, const CodeLayout& codes) {
  ensure(is_power_of_two(scan.table_blocks), "table_blocks is a power of two");
  ensure(scan.tile_outputs >= 4 && scan.tile_outputs % 4 == 0, "tile_outputs of scans is a multiple of 4");
  ensure(scan.compared_outputs >= 1, "compared_outputs is positive");
  ensure(scan.selected_outputs >= 1, "selected_outputs is positive");
  ensure(is_power_of_two(scan.linear_outputs), "linear_outputs is a power of two");
  ensure(scan.linear_outputs == 1 || (codes.n_linear > 0 && codes.packing == CodeLayout::Packing::kFourCodebooks),
         "outputs share linear dims of codes in fours");
}

void check_accumulate(const AccumulateSchedule& accumulate, const CodeLayout& codes, const Target& target) {
  ensure(accumulate.tile_outputs >= target.vector_bytes && accumulate.tile_outputs % target.vector_bytes == 0,
         "tile_outputs of accumulation is a multiple of a vector's bytes");
  ensure(accumulate.rows >= target.lanes() && accumulate.rows % target.lanes() == 0,
         "accumulated rows are a multiple of a vector's lanes");
  ensure(is_power_of_two(accumulate.linear_rows), "linear_rows is a power of two");
  ensure(accumulate.linear_rows == 1 ||
             (codes.n_codebooks == 0 && codes.n_linear > 0 && accumulate.tile_outputs == target.vector_bytes),
         "rows share weights of a vector of bytes where there are no tables");
}

}  // namespace

void check_schedule(const Schedule& schedule, const Model& model, const EntryRanges& ranges, const Target& target) {
  check_layout(schedule.codes, model, target);
  check_scan(schedule.scan, schedule.codes);
  check_accumulate(schedule.accumulate, schedule.codes, target);
  const int block_rows = schedule.codes.block_rows();
  ensure(schedule.stage.rows >= block_rows && schedule.stage.rows % block_rows == 0,
         "staged rows are a multiple of the block");
  ensure(schedule.stage.prefetch_rows >= 0, "prefetch_rows is not negative");
  ensure(schedule.stage.row_vectors >= 0 &&
             schedule.stage.row_vectors <= count_row_vectors(model.linear(), target.lanes()),
         "row_vectors are of adjacent columns");
  ensure(schedule.call.chunk_blocks >= 1 && schedule.call.chunk_blocks % schedule.scan.table_blocks == 0,
         "chunk_blocks is a multiple of table_blocks");
  prove_no_overflow(ranges, schedule.groups);
}

}  // namespace mithral::codegen
