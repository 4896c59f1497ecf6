// Models with linear dims, with trees and without, against the definition: any number of dims and outputs, any weights,
// every backend, any strides and input type.
#include <gtest/gtest.h>

#include "codegen/model/error.h"
#include "codegen/scan/linear_plan.h"
#include "runtime/kernel.h"
#include "tests/support/executors.h"
#include "tests/support/expected_results.h"
#include "tests/support/random.h"
#include "tests/support/strided.h"

namespace mithral {
namespace {

using testing::Executors;
using testing::expect_results;
using testing::Expected;
using testing::Flush;
using testing::pick;
using testing::StridedMatrix;
using testing::Weights;

constexpr int64_t kDimCounts[] = {1, 2, 3, 4, 5, 8, 16, 30, 64, 127, 128, 129, 161, 300};
constexpr int64_t kCodebookCounts[] = {0, 0, 1, 3, 16, 17};
constexpr int64_t kOutputCounts[] = {1, 5, 16, 47, 48, 100, 129, 200};
constexpr int64_t kRowCounts[] = {0, 1, 2, 3, 7, 31, 64, 65, 66, 131, 203};

Model random_linear_model(std::mt19937_64& rng, int64_t n_dims, Weights weights) {
  const int64_t n_features = 1 + static_cast<int64_t>(rng() % 400), n_outputs = pick(rng, kOutputCounts);
  testing::ModelArrays trees = testing::random_arrays(
      rng, {n_features, n_outputs, pick(rng, kCodebookCounts), 1 + static_cast<int64_t>(rng() % 6)});
  if (rng() % 2 == 0) testing::structure_trees(rng, trees);
  trees.linear = testing::random_linear(rng, n_dims, n_features, n_outputs, weights);
  return trees;
}

class LinearDimsOf : public ::testing::TestWithParam<int64_t> {};  // S
INSTANTIATE_TEST_SUITE_P(Counts, LinearDimsOf, ::testing::ValuesIn(kDimCounts));

TEST_P(LinearDimsOf, EverythingFollowsTheDefinition) {
  constexpr int kModels = 8, kCalls = 3;
  std::mt19937_64 rng(GetParam());
  for (int i = 0; i < kModels; ++i) {
    const Model model = random_linear_model(rng, GetParam(), static_cast<Weights>(i % 4));
    const Activation activation = rng() % 2 == 0 ? Activation::kRelu : Activation::kNone;
    const Executors executors(model, activation);
    for (int call = 0; call < kCalls; ++call) {
      const int64_t n = pick(rng, kRowCounts);
      const std::vector<float> x = testing::random_input(rng, n * model.n_features());
      const auto rows = row_major(x.data(), n, model.n_features());
      const Expected expected(model, rows, activation);
      for (const auto& [name, executor] : executors.all()) {
        const testing::Lying lying = pick(rng, testing::kLyings);
        const StridedMatrix<float> lain(rows, lying, rng() % 2 == 0 ? Flush::kEnd : Flush::kStart);
        SCOPED_TRACE(message(name, ": C ", model.n_codebooks(), ", M ", model.n_outputs(), ", D ", model.n_features(),
                             ", ", n, " rows lying ", static_cast<int>(lying)));
        expect_results(*executor, InputView(lain.const_view()), expected, rng);
        if (HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace mithral
