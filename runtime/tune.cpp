#include "runtime/tune.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>

#include "codegen/model/error.h"
#include "runtime/executable.h"

namespace mithral {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMeasured = 4;                   // candidates
constexpr int kRounds = 7;                        // calls of each, unless time is up
constexpr double kBudgetSeconds = 0.06;           // for all calls
constexpr double kCallSeconds = 0.001;            // expected of one: long enough for the clock, several fit the budget
constexpr double kClearly = 0.97;                 // of the time of the schedule chosen by rule
constexpr int64_t kMaxValues = 4'000'000;         // of the made-up rows and their outputs
constexpr int64_t kMostValues = 16 * kMaxValues;  // of the fewest rows; models beyond are not measured

struct Timed {
  std::unique_ptr<const Executable> executable;
  double shortest = std::numeric_limits<double>::infinity();
};

// Few enough for the budget and the memory, but a vector of them.
int64_t choose_rows(const Model& model, const Target& target, double row_seconds) {
  const double seconds = std::min(kCallSeconds, kBudgetSeconds / (2 * kMeasured));
  const auto fitting = static_cast<int64_t>(seconds / row_seconds);
  const int64_t rows = std::min({fitting, kMaxValues / (model.n_features() + model.n_outputs()), int64_t{16384}});
  return std::max<int64_t>(rows / 64 * 64, target.lanes());
}

// Any will do: nothing in a kernel depends on values but which table rows are read.
std::vector<float> made_up_rows(int64_t count) {
  std::vector<float> rows(count);
  uint32_t state = 1;
  for (float& value : rows) {
    state = state * 1664525 + 1013904223;
    value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-30f;  // -2 to 2
  }
  return rows;
}

size_t index_as_chosen(const std::vector<codegen::Candidate>& schedules) {
  const auto chosen = std::find_if(schedules.begin(), schedules.end(),
                                   [](const codegen::Candidate& c) { return c.name == codegen::kAsChosen; });
  ensure(chosen != schedules.end(), "the schedule chosen by rule is a candidate");
  return static_cast<size_t>(chosen - schedules.begin());
}

// The first few, and the one chosen by rule.
std::vector<size_t> to_measure(const Tuning& tuning) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < tuning.candidates.size(); ++i) {
    if (i == tuning.chosen || indices.size() + (i < tuning.chosen) < kMeasured) indices.push_back(i);
  }
  return indices;
}

}  // namespace

Tuning list_schedules(const Model& model, const Target& target) {
  codegen::Candidates listed = codegen::list_candidates(model, target);
  Tuning result{.refused = std::move(listed.refused), .chosen = index_as_chosen(listed.schedules), .n_rows = 0};
  for (codegen::Candidate& candidate : listed.schedules) result.candidates.push_back({std::move(candidate), {}});
  return result;
}

Tuning measure_schedules(const Model& model, const Target& target, Activation activation) {
  Tuning tuning = list_schedules(model, target);
  if (target.lanes() * (model.n_features() + model.n_outputs()) > kMostValues) return tuning;
  tuning.n_rows = choose_rows(model, target, tuning.candidates[tuning.chosen].candidate.row_seconds);
  const std::vector<float> x = made_up_rows(tuning.n_rows * model.n_features());
  std::vector<float> y(tuning.n_rows * model.n_outputs());
  const auto rows = row_major(x.data(), tuning.n_rows, model.n_features());
  const auto outputs = row_major(y.data(), tuning.n_rows, model.n_outputs());

  const std::vector<size_t> indices = to_measure(tuning);
  std::vector<Timed> timed;
  for (const size_t i : indices) {
    codegen::Schedule schedule = tuning.candidates[i].candidate.schedule;
    schedule.call.stream_bytes = std::numeric_limits<int64_t>::max();  // whether calls are large is not known
    timed.push_back({std::make_unique<const Executable>(model, activation, Backend::kJit, target, schedule)});
    timed.back().executable->executor.outputs(rows, outputs);  // makes what is made at first use
  }
  const auto end = Clock::now() + std::chrono::duration<double>(kBudgetSeconds);
  for (int round = 0; round < kRounds && (round == 0 || Clock::now() < end); ++round) {
    for (Timed& one : timed) {
      const auto start = Clock::now();
      one.executable->executor.outputs(rows, outputs);
      one.shortest = std::min(one.shortest, std::chrono::duration<double>(Clock::now() - start).count());
    }
  }

  double limit = std::numeric_limits<double>::infinity();
  for (size_t k = 0; k < indices.size(); ++k) {
    tuning.candidates[indices[k]].row_seconds = timed[k].shortest / static_cast<double>(tuning.n_rows);
    if (indices[k] == tuning.chosen) limit = kClearly * timed[k].shortest;
  }
  for (size_t k = 0; k < indices.size(); ++k) {
    if (timed[k].shortest >= limit) continue;
    limit = timed[k].shortest;
    tuning.chosen = indices[k];
  }
  return tuning;
}

}  // namespace mithral
