#include "codegen/plan/mixtures.h"

#include <algorithm>
#include <memory>

#include "codegen/model/cache_line.h"
#include "codegen/model/error.h"

namespace mithral {
namespace {

constexpr int64_t kRows = 10000;  // of the calls whose times are compared
// Shares of the budget that codebooks get, in quarters.
constexpr int64_t kQuarters[] = {2, 1, 0};

constexpr int64_t kDepth = 1;         // of no trees
constexpr int64_t kManyOutputs = 32;  // from which on some share a latent
constexpr size_t kLatentMixtures = 3;

// The numbers of linear dims that latents may be made of: powers of two times a cache line, and all.
std::vector<int64_t> latent_dims(int64_t n_features) {
  const int64_t most = std::min(n_features, LinearDims::kMaxDims);
  std::vector<int64_t> result = {most};
  for (int64_t dims = kFloatsOfLine; dims < most; dims *= 2) result.push_back(dims);
  std::sort(result.rbegin(), result.rend());
  return result;
}

ColumnPlaces places_of(InputOrder order) {
  return order == InputOrder::kRowMajor ? ColumnPlaces::kFewLines : ColumnPlaces::kAnywhere;
}

}  // namespace

std::vector<Mixture> mixtures_within(int64_t budget, int64_t n_features, int64_t n_outputs, int64_t depth,
                                     const Target& target, InputOrder order, const std::optional<TreesRead>& trees) {
  check_range("budget", budget, 1, Tables::kMaxCodebooks);
  const bool by_lines = order == InputOrder::kRowMajor;
  const ColumnPlaces places = places_of(order);
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
  const int64_t most = std::min(n_features, LinearDims::kMaxDims);
  const auto next = [&](int64_t n_linear) {
    return std::min(n_linear + (by_lines && n_linear >= kFloatsOfLine ? kFloatsOfLine : LinearDims::kFour), most);
  };
  for (const int64_t quarters : kQuarters) {
    const int64_t n_codebooks = budget * quarters / 4;
    Mixture mixture = {n_codebooks, 0};
    for (int64_t n_linear = 0; n_linear < most;) {
      n_linear = next(n_linear);
      if (seconds_of(n_codebooks, n_linear) <= limit) mixture.n_linear = n_linear;
    }
    if (mixture.n_linear > 0 && std::find(result.begin(), result.end(), mixture) == result.end()) {
      result.push_back(mixture);
    }
  }
  if (n_outputs < kManyOutputs) return result;
  const size_t n_others = result.size();
  for (const int64_t dims : latent_dims(n_features)) {
    if (result.size() == n_others + kLatentMixtures) break;
    int64_t n_latents = 0;
    for (int64_t more = LinearDims::kFour; more <= std::min({dims, n_outputs, LinearDims::kMaxTrainedLatents});
         more += LinearDims::kFour) {
      if (seconds(expected_shape_of_latents(n_features, n_outputs, more, dims, places)) <= limit) n_latents = more;
    }
    if (n_latents > 0) result.push_back({0, 0, n_latents, dims});
  }
  return result;
}

int64_t dims_of_latents(int64_t n_features, int64_t n_outputs, int64_t n_latents, int64_t n_linear,
                        const Target& target, InputOrder order) {
  const ColumnPlaces places = places_of(order);
  const int64_t most = std::min(n_features, LinearDims::kMaxDims);
  const auto seconds = [&](int64_t outputs, int64_t dims) {
    return estimate(expected_shape(n_features, outputs, 0, kDepth, std::min(dims, most), places), kRows, target, order)
        .kernel;
  };
  const double limit = seconds(n_outputs, n_latents + n_linear);
  for (const int64_t dims : latent_dims(n_features)) {
    if (seconds(n_latents, dims) <= limit) return std::max(dims, std::min(2 * n_latents, most));
  }
  return std::min(2 * n_latents, most);
}

}  // namespace mithral
