#include "codegen/plan/candidates.h"

#include <algorithm>
#include <functional>

#include "codegen/model/error.h"
#include "codegen/model/multiples.h"
#include "codegen/plan/estimate.h"
#include "codegen/scan/lut_segments.h"
#include "codegen/scan/word_sums.h"

namespace mithral::codegen {
namespace {

constexpr double kIssue = 4;          // instructions a cycle that these loops reach, on any of the CPUs
constexpr double kLoads = 2;          // vectors read a cycle
constexpr double kEpilogue = 6;       // instructions that make a vector of outputs of sums
constexpr double kTransposition = 4;  // that write a vector of a tile and bring it into rows
constexpr double kWidening = 3;       // that add a group of bytes in 16 bits (word_sums.h)
constexpr double kLevel = 4;          // of a level of a tree
constexpr double kFloatBytes = 4, kLineBytes = 64;

// Cycles of a row in the encoder.
double encode_cycles(const Model& model, const Target& target) {
  return static_cast<double>(model.n_codebooks() * model.depth()) * kLevel / kIssue / target.lanes();
}

// Cycles of one output of as many rows as a look-up has bytes; per row and output.
double shuffle_cycles(const Model& model, const Schedule& schedule, const Target& target) {
  const auto codebooks = static_cast<double>(model.n_codebooks());
  const bool four_codebooks = schedule.codes.packing == CodeLayout::Packing::kFourCodebooks;
  const int64_t reach = four_codebooks ? 16 : target.has(Feature::kByteTables) ? 64 : kSegmentEntries;
  const double lookups = codebooks * static_cast<double>(divide_up(model.n_leaves(), reach));
  const double instructions = 2 + 1.0 / schedule.tall_tile;  // look up, add, and a share of loading the table
  const auto groups = static_cast<double>(schedule.lut_groups.size());
  const double sums = four_codebooks || groups == 1
                          ? 0
                          : (schedule.group_sums == GroupSums::kAverages ? 2 * groups + 6 : kWidening * groups);
  const double finish = (kEpilogue + kTransposition) * (four_codebooks ? 1 : 4);
  const double vectors = lookups / (four_codebooks ? 4 : 1);
  const double cycles =
      std::max(vectors / target.shuffles_per_cycle, vectors * instructions / kIssue) + (sums + finish) / kIssue;
  return cycles / schedule.codes.block_rows();
}

// Cycles of a row of all outputs.
double accumulate_cycles(const Model& model, const Schedule& schedule, const Target& target) {
  const auto pieces = [&](int outputs) { return static_cast<double>(divide_up(model.n_outputs(), outputs)); };
  const double vectors = pieces(target.vector_bytes), tiles = pieces(schedule.row_tile_outputs);
  const auto codebooks = static_cast<double>(model.n_codebooks());
  const double addresses = 2 * codebooks * tiles;
  const auto groups = static_cast<double>(schedule.lut_groups.size());
  const double widening = groups == 1 ? 0 : kWidening * groups * vectors;
  const double finish = kEpilogue * pieces(target.lanes());
  const double loads = (vectors * codebooks + codebooks * tiles + 2 * finish / kEpilogue) / kLoads;
  return std::max(loads, (vectors * codebooks + addresses + widening + finish) / kIssue);
}

// Bytes of a row that come from memory or go there: the lines with used columns, and the outputs.
double row_bytes(const Model& model) {
  return shape_of(model).n_lines * kLineBytes + static_cast<double>(model.n_outputs()) * kFloatBytes;
}

// Changes that may pay; a reason why one cannot be had, or none.
struct Change {
  const char* name;
  std::function<std::string(Schedule&)> apply;
};

std::vector<Change> changes(const Model& model, const Target& target) {
  const int64_t outputs = model.n_outputs();
  return {
      {"row-major outputs by shuffles",
       [=](Schedule& s) {
         if (outputs < s.accumulate_from)
           return std::string("so they are already: rows are accumulated from " + std::to_string(s.accumulate_from) +
                              " outputs on");
         s.accumulate_from = outputs + 1;
         return std::string();
       }},
      {"row-major outputs by accumulating rows",
       [=](Schedule& s) {
         if (outputs >= s.accumulate_from) return std::string("so they are already");
         s.accumulate_from = 1;
         return std::string();
       }},
      {"codes of four rows to a lane",
       [=](Schedule& s) {
         if (s.codes.packing == CodeLayout::Packing::kFourRows)
           return std::string("so they are already: four codebooks to a lane need VBMI, VNNI and at most 16 leaves");
         s.codes.packing = CodeLayout::Packing::kFourRows;
         s.group_sums = GroupSums::kPairs;
         s.tall_tile = choose_tall_tile(s, target);
         s.staged_rows = std::max(s.staged_rows / s.codes.block_rows(), 1) * s.codes.block_rows();
         s.chunk_blocks = std::max(s.chunk_blocks / 4 / s.tall_tile, 1) * s.tall_tile;
         return std::string();
       }},
      {"16-bit sums from averages",
       [=](Schedule& s) {
         const size_t groups = s.lut_groups.size();
         if (s.codes.packing == CodeLayout::Packing::kFourCodebooks)
           return std::string("four codebooks to a lane are summed in 32 bits");
         if (s.group_sums == GroupSums::kAverages) return std::string("so they are already");
         if (groups < 2 || groups > kMaxAveragedGroups)
           return message("they are of 2 to ", kMaxAveragedGroups, " byte groups; this model has ", groups);
         if (model.n_leaves() > kSegmentEntries) return std::string("deep trees leave no registers for them");
         s.group_sums = GroupSums::kAverages;
         s.tall_tile = choose_tall_tile(s, target);
         return std::string();
       }},
      {"shorter chunks of rows",
       [](Schedule& s) {
         const int shorter = s.chunk_blocks / 4 / s.tall_tile * s.tall_tile;
         if (shorter == 0) return std::string("a chunk is only a few blocks");
         s.chunk_blocks = shorter;
         return std::string();
       }},
      {"the other choice of prefetching rows",
       [](Schedule& s) {
         s.prefetch_rows = s.prefetch_rows == 0 ? kPrefetchRows : 0;
         return std::string();
       }},
  };
}

}  // namespace

double expected_row_seconds(const Model& model, const Schedule& schedule, const Target& target) {
  constexpr double kNanosecond = 1e-9;
  const bool accumulates = model.n_outputs() >= schedule.accumulate_from;
  const double scan = accumulates ? accumulate_cycles(model, schedule, target)
                                  : shuffle_cycles(model, schedule, target) * static_cast<double>(model.n_outputs());
  const double computing = (encode_cycles(model, target) + scan) / target.gigahertz;
  return (computing + row_bytes(model) / target.memory_gigabytes) * kNanosecond;
}

Candidates list_candidates(const Model& model, const Target& target) {
  const Schedule chosen = choose_schedule(model, target);
  Candidates result;
  const auto add = [&](const char* name, const Schedule& schedule) {
    check_schedule(schedule, model, target);
    result.schedules.push_back({name, schedule, expected_row_seconds(model, schedule, target)});
  };
  add(kAsChosen, chosen);
  for (const Change& change : changes(model, target)) {
    Schedule schedule = chosen;
    const std::string reason = change.apply(schedule);
    if (reason.empty()) {
      add(change.name, schedule);
    } else {
      result.refused.push_back({change.name, reason});
    }
  }
  std::stable_sort(result.schedules.begin(), result.schedules.end(),
                   [](const Candidate& a, const Candidate& b) { return a.row_seconds < b.row_seconds; });
  return result;
}

}  // namespace mithral::codegen
