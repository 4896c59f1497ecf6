#include "codegen/plan/candidates.h"

#include <algorithm>
#include <memory>

#include "codegen/encode/encoder_lowering.h"
#include "codegen/encode/lower_stage.h"
#include "codegen/model/error.h"
#include "codegen/model/multiples.h"
#include "codegen/scan/lut_segments.h"

namespace mithral::codegen {
namespace {

constexpr double kIssue = 4;          // instructions a cycle that these loops reach, on any of the CPUs
constexpr double kLoads = 2;          // vectors read a cycle
constexpr double kEpilogue = 6;       // instructions that make a vector of outputs of sums
constexpr double kTransposition = 4;  // that write a vector of a tile and bring it into rows
constexpr double kWidening = 3;       // that add a group of bytes in 16 bits (group_sums.h)
constexpr double kFloatBytes = 4, kLineBytes = 64;

// Cycles per row in the encoder.
double encode_cycles(const EncoderLowering& encoder, const Target& target) {
  return encoder.instructions(target) / kIssue / target.lanes();
}

// Cycles of one output of as many rows as a look-up has bytes; per row and output.
double shuffle_cycles(const Model& model, const Schedule& schedule, const Target& target) {
  const auto codebooks = static_cast<double>(model.n_codebooks());
  const bool four_codebooks = schedule.codes.packing == CodeLayout::Packing::kFourCodebooks;
  const int64_t reach = four_codebooks ? 16 : target.has(Feature::kByteTables) ? 64 : kSegmentEntries;
  const double lookups = codebooks * static_cast<double>(divide_up(model.n_entries(), reach));
  const double instructions = 2 + 1.0 / schedule.scan.table_blocks;  // look up, add, and a share of loading the table
  const auto groups = static_cast<double>(schedule.groups.size());
  const double sums = four_codebooks || groups == 1 ? 0 : kWidening * groups;
  const double finish = (kEpilogue + kTransposition) * (four_codebooks ? 1 : 4);
  const double vectors = lookups / (four_codebooks ? 4 : 1);
  const double cycles =
      std::max(vectors / target.shuffles_per_cycle, vectors * instructions / kIssue) + (sums + finish) / kIssue;
  return cycles / schedule.codes.block_rows();
}

// Cycles of a row of all outputs.
double accumulate_cycles(const Model& model, const Schedule& schedule, const Target& target) {
  const auto pieces = [&](int outputs) { return static_cast<double>(divide_up(model.n_outputs(), outputs)); };
  const double vectors = pieces(target.vector_bytes), tiles = pieces(schedule.accumulate.tile_outputs);
  const auto codebooks = static_cast<double>(model.n_codebooks());
  const double addresses = 2 * codebooks * tiles;
  const auto groups = static_cast<double>(schedule.groups.size());
  const double widening = groups == 1 ? 0 : kWidening * groups * vectors;
  const double finish = kEpilogue * pieces(target.lanes());
  const double loads = (vectors * codebooks + codebooks * tiles + 2 * finish / kEpilogue) / kLoads;
  return std::max(loads, (vectors * codebooks + addresses + widening + finish) / kIssue);
}

// Bytes per row that come from memory or go there: the lines with used columns, and the outputs.
double row_bytes(const EncoderLowering& encoder, const Model& model) {
  return static_cast<double>(count_lines(encoder.columns())) * kLineBytes +
         static_cast<double>(model.n_outputs()) * kFloatBytes;
}

constexpr const char* kAlready = "so they are already";

// A change that may pay: why a schedule cannot have it, or nothing; and the schedule with it.
struct Change {
  const char* name;
  std::string (*refusal)(const Schedule&, const Model&);
  void (*apply)(Schedule&, const Model&, const Target&);
};

constexpr Change kChanges[] = {
    {"row-major outputs by shuffles",
     [](const Schedule& s, const Model& model) {
       const bool shuffled = model.n_outputs() < s.accumulate.min_outputs;
       return shuffled ? message(kAlready, ": rows are accumulated from ", s.accumulate.min_outputs, " outputs on")
                       : "";
     },
     [](Schedule& s, const Model& model, const Target&) { s.accumulate.min_outputs = model.n_outputs() + 1; }},
    {"row-major outputs by accumulating rows",
     [](const Schedule& s, const Model& model) -> std::string {
       return model.n_outputs() >= s.accumulate.min_outputs ? kAlready : "";
     },
     [](Schedule& s, const Model&, const Target&) { s.accumulate.min_outputs = 1; }},
    {"codes of four rows to a lane",
     [](const Schedule& s, const Model&) {
       const bool four_rows = s.codes.packing == CodeLayout::Packing::kFourRows;
       return four_rows ? message(kAlready, ": four codebooks to a lane need VBMI, VNNI and at most 16 entries") : "";
     },
     [](Schedule& s, const Model&, const Target& target) {
       s.codes.packing = CodeLayout::Packing::kFourRows;
       s.scan.table_blocks = choose_table_blocks(s.codes, target);
       s.stage.rows = std::max(s.stage.rows / s.codes.block_rows(), 1) * s.codes.block_rows();
       s.call.chunk_blocks = std::max(s.call.chunk_blocks / 4 / s.scan.table_blocks, 1) * s.scan.table_blocks;
     }},
    {"shorter chunks of rows",
     [](const Schedule& s, const Model&) -> std::string {
       return s.call.chunk_blocks / 4 < s.scan.table_blocks ? "a chunk is only a few blocks" : "";
     },
     [](Schedule& s, const Model&, const Target&) {
       s.call.chunk_blocks = round_down(s.call.chunk_blocks / 4, s.scan.table_blocks);
     }},
    {"the other choice of prefetching rows", [](const Schedule&, const Model&) { return std::string(); },
     [](Schedule& s, const Model&, const Target&) {
       s.stage.prefetch_rows = s.stage.prefetch_rows == 0 ? kPrefetchRows : 0;
     }},
};

}  // namespace

double expected_row_seconds(const Model& model, const Schedule& schedule, const Target& target) {
  constexpr double kNanosecond = 1e-9;
  const std::unique_ptr<const EncoderLowering> encoder = encoder_lowering(model.encoder());
  const bool accumulates = model.n_outputs() >= schedule.accumulate.min_outputs;
  const double scan = accumulates ? accumulate_cycles(model, schedule, target)
                                  : shuffle_cycles(model, schedule, target) * static_cast<double>(model.n_outputs());
  const double computing = (encode_cycles(*encoder, target) + scan) / target.gigahertz;
  return (computing + row_bytes(*encoder, model) / target.memory_gigabytes) * kNanosecond;
}

Candidates list_candidates(const Model& model, const Target& target) {
  const EntryRanges ranges = entry_ranges(model.tables());
  const Schedule chosen = choose_schedule(model, ranges, target);
  Candidates result;
  const auto add = [&](const char* name, const Schedule& schedule) {
    check_schedule(schedule, model, ranges, target);
    result.schedules.push_back({name, schedule, expected_row_seconds(model, schedule, target)});
  };
  add(kAsChosen, chosen);
  for (const Change& change : kChanges) {
    const std::string reason = change.refusal(chosen, model);
    if (!reason.empty()) {
      result.refused.push_back({change.name, reason});
      continue;
    }
    Schedule schedule = chosen;
    change.apply(schedule, model, target);
    add(change.name, schedule);
  }
  std::stable_sort(result.schedules.begin(), result.schedules.end(),
                   [](const Candidate& a, const Candidate& b) { return a.row_seconds < b.row_seconds; });
  return result;
}

}  // namespace mithral::codegen
