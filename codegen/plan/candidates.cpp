#include "codegen/plan/candidates.h"

#include <algorithm>

#include "codegen/model/error.h"
#include "codegen/model/multiples.h"
#include "codegen/plan/cost_model.h"

namespace mithral::codegen {
namespace {

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
       s.scan.linear_outputs = choose_linear_outputs(s.codes, target);
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
  return row_seconds(work_of(model, schedule, target), target, InputOrder::kRowMajor);
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
