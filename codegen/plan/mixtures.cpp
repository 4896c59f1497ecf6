#include "codegen/plan/mixtures.h"

#include <algorithm>

#include "codegen/model/error.h"
#include "codegen/model/multiples.h"
#include "codegen/program/code_layout.h"
#include "codegen/program/sizes.h"

namespace mithral {
namespace {

constexpr int64_t kRows = 10000;  // of the calls whose times are compared
// Shares of the budget that codebooks get, in quarters.
constexpr int64_t kQuarters[] = {2, 1, 0};

}  // namespace

std::vector<Mixture> mixtures_within(int64_t budget, int64_t n_features, int64_t n_outputs, int64_t depth,
                                     const Target& target, InputOrder order, const std::optional<TreesRead>& trees) {
  check_range("budget", budget, 1, Tables::kMaxCodebooks);
  const bool by_lines = order == InputOrder::kRowMajor;
  const ColumnPlaces places = by_lines ? ColumnPlaces::kFewLines : ColumnPlaces::kAnywhere;
  ModelShape alone = expected_shape(n_features, n_outputs, budget, depth, 0, places);
  double read = 1;  // of what trees are expected to
  if (trees) {
    read = by_lines ? static_cast<double>(trees->n_lines) / alone.n_lines
                    : static_cast<double>(trees->n_columns) / alone.n_columns;
    alone.n_codebooks = trees->n_codebooks;
    alone.n_lines = static_cast<double>(trees->n_lines);
    alone.n_columns = static_cast<double>(trees->n_columns);
  }
  const auto seconds = [&](const ModelShape& shape) { return estimate(shape, kRows, target, order).kernel; };
  const auto seconds_of = [&](int64_t n_codebooks, int64_t n_linear) {
    return seconds(expected_shape(n_features, n_outputs, n_codebooks, depth, n_linear, places, read));
  };
  std::vector<Mixture> result = {{budget, 0}};
  const double limit = seconds(alone);
  const int64_t step = by_lines ? kLineFloats : int64_t{codegen::CodeLayout::kBytesOfLane},
                most = std::min(n_features, LinearDims::kMaxDims);
  for (const int64_t quarters : kQuarters) {
    const int64_t n_codebooks = budget * quarters / 4;
    // By bisection: more dims take longer.
    int64_t fits = 0, beyond = divide_up(most, step) + 1;
    while (fits + 1 < beyond) {
      const int64_t middle = (fits + beyond) / 2;
      (seconds_of(n_codebooks, std::min(middle * step, most)) <= limit ? fits : beyond) = middle;
    }
    const Mixture mixture = {n_codebooks, std::min(fits * step, most)};
    if (fits > 0 && std::find(result.begin(), result.end(), mixture) == result.end()) {
      result.push_back(mixture);
    }
  }
  return result;
}

}  // namespace mithral
