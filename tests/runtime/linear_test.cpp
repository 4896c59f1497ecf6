// Models with linear dims and latents, with trees and without, against the definition: any number of dims and outputs,
// any weights, every backend, any strides and input type.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

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

Model random_linear_model(std::mt19937_64& rng, int64_t n_dims, int64_t n_latents, Weights weights) {
  const int64_t n_features = 1 + static_cast<int64_t>(rng() % 400), n_outputs = pick(rng, kOutputCounts);
  testing::ModelArrays trees = testing::random_arrays(
      rng, {n_features, n_outputs, pick(rng, kCodebookCounts), 1 + static_cast<int64_t>(rng() % 6)});
  if (rng() % 2 == 0) testing::structure_trees(rng, trees);
  trees.linear = n_latents == 0 ? testing::random_linear(rng, n_dims, n_features, n_outputs, weights)
                                : testing::random_latents(rng, n_latents, n_dims, n_features, n_outputs, weights);
  return trees;
}

// Calls of some rows, whichever way they lie.
void expect_definition(const Model& model, std::mt19937_64& rng) {
  constexpr int kCalls = 3;
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
      SCOPED_TRACE(message(name, ": C ", model.n_codebooks(), ", S ", model.n_linear(), ", r ", model.n_latents(),
                           ", M ", model.n_outputs(), ", D ", model.n_features(), ", ", n, " rows lying ",
                           static_cast<int>(lying)));
      expect_results(*executor, InputView(lain.const_view()), expected, rng);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

class LinearDimsOf : public ::testing::TestWithParam<int64_t> {};  // S
INSTANTIATE_TEST_SUITE_P(Counts, LinearDimsOf, ::testing::ValuesIn(kDimCounts));

TEST_P(LinearDimsOf, EverythingFollowsTheDefinition) {
  constexpr int kModels = 8;
  std::mt19937_64 rng(GetParam());
  for (int i = 0; i < kModels && !HasFailure(); ++i) {
    expect_definition(random_linear_model(rng, GetParam(), 0, static_cast<Weights>(i % 4)), rng);
  }
}

class LatentsOf : public ::testing::TestWithParam<int64_t> {};  // r
INSTANTIATE_TEST_SUITE_P(Counts, LatentsOf, ::testing::Values(1, 3, 4, 16, 33, 130));

TEST_P(LatentsOf, EverythingFollowsTheDefinition) {
  constexpr int64_t kDims[] = {0, 4, 16, 64};
  std::mt19937_64 rng(GetParam());
  for (int i = 0; i < 2 * std::ssize(kDims) && !HasFailure(); ++i) {
    const int64_t n_dims = kDims[i % std::ssize(kDims)];
    expect_definition(random_linear_model(rng, n_dims, GetParam(), static_cast<Weights>(i % 4)), rng);
  }
}

// Every value of a latent, and what is beyond: one codebook whose entries are the latent.
TEST(Latents, AreRoundedHalfToEvenAndClamped) {
  testing::ModelArrays inner{.n_features = 1, .n_outputs = 1, .n_codebooks = 1, .depth = 8};
  inner.split_dims.assign(8, 0);
  inner.thresholds.resize(255);
  inner.lut.resize(256);
  for (int level = 0, node = 0; level < 8; ++level) {
    for (int i = 0; i < 1 << level; ++i, ++node)
      inner.thresholds[node] = static_cast<float>((2 * i + 1) << (7 - level)) - 0.5f;
  }
  for (int i = 0; i < 256; ++i) inner.lut[i] = static_cast<uint8_t>(i);
  inner.scale = {0.5};
  inner.offset = {-0.5};
  testing::ModelArrays outer{.n_features = 1, .n_outputs = 1, .n_codebooks = 0, .depth = 1};
  outer.scale = {1};
  outer.offset = {0};
  outer.linear = LinearDims({.n_features = 1,
                             .n_outputs = 1,
                             .dims = {},
                             .inverse_step = {},
                             .zero = {},
                             .weights = {1},
                             .latents = std::make_shared<const Model>(inner)});
  const Executors executors(outer);
  std::vector<float> x(256), y(256);
  for (int i = 0; i < 256; ++i) x[i] = static_cast<float>(i);
  for (const auto& [name, executor] : executors.all()) {
    executor->outputs(row_major<const float>(x.data(), 256, 1), row_major(y.data(), 256, 1));
    for (int i = 0; i < 256; ++i) {
      const float latent = static_cast<float>(i) / 2 - 0.5f;
      EXPECT_EQ(y[i], std::clamp(std::nearbyint(latent), 0.0f, 127.0f)) << name << ", latent " << latent;
    }
  }
}

TEST(Latents, BadOnesAreRefused) {
  std::mt19937_64 rng(1);
  const auto inner = std::make_shared<const Model>(testing::random_arrays(rng, {5, 3, 2, 2}));
  const auto reason = [](LinearArrays arrays) -> std::string {
    try {
      const LinearDims dims(std::move(arrays));
    } catch (const BadModel& error) {
      return error.what();
    }
    return "";
  };
  const LinearArrays good{.n_features = 5,
                          .n_outputs = 2,
                          .dims = {},
                          .inverse_step = {},
                          .zero = {},
                          .weights = std::vector<int8_t>(6),
                          .latents = inner};
  EXPECT_EQ(reason(good), "");
  LinearArrays bad = good;
  bad.weights.pop_back();
  EXPECT_EQ(reason(bad), "linear_weights has 5 entries; expected 6 for shape (S + r, M)");
  bad = good;
  bad.n_features = 6;
  EXPECT_EQ(reason(bad), "the latents' model has 5 features; expected those of the rows: 6");
  bad = good;
  bad.dims = {0, 1, 2};
  bad.inverse_step = bad.zero = {1, 1, 1};
  bad.weights.resize(12);
  EXPECT_EQ(reason(bad), "there are 3 linear dims beside latents; allowed: multiples of 4");
  bad = good;
  bad.latents = std::make_shared<const Model>(testing::given_codes(*inner));
  EXPECT_NE(reason(bad).find("codes come from the caller"), std::string::npos);
  testing::ModelArrays nested = testing::random_arrays(rng, {5, 2, 0, 1});
  nested.linear = LinearDims(good);
  bad = good;
  bad.latents = std::make_shared<const Model>(nested);
  bad.weights.resize(4);
  EXPECT_EQ(reason(bad), "the latents' model has latents of its own; allowed: one level");
}

}  // namespace
}  // namespace mithral
