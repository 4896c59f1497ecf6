// Trees of every depth, leaf by leaf, in everything that executes models: codes that fill their byte, every segment of
// the tables, sums at the limit of 16 bits, trees with parts that have no effect.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "codegen/model/reference.h"
#include "tests/support/executors.h"
#include "tests/support/random.h"

namespace mithral {
namespace {

using testing::Executors;

// Every codebook has columns of its own, one a level, so that rows can be made for any leaves.
Model selecting_model(int64_t depth, int64_t n_codebooks, int64_t n_outputs, std::vector<uint8_t> lut = {}) {
  std::mt19937_64 rng(depth);
  testing::ModelArrays a =
      testing::random_arrays(rng, {n_codebooks * depth, n_outputs, n_codebooks, depth}, testing::Entries::kAny);
  std::iota(a.split_dims.begin(), a.split_dims.end(), 0);
  for (float& t : a.thresholds) t = static_cast<float>(static_cast<int>(rng() % 200001) - 100000) / 1000.0f;
  if (!lut.empty()) a.lut = std::move(lut);
  return Model(std::move(a));
}

// Rows that reach these leaves (rows, C): ties with the thresholds on the way where they go left, the next larger float
// where they go right. Any other threshold would send many of them elsewhere.
std::vector<float> rows_for(const Model& model, const std::vector<uint8_t>& leaves) {
  std::vector<float> x;
  for (size_t i = 0; i < leaves.size(); ++i) {
    const int64_t codebook = static_cast<int64_t>(i) % model.n_codebooks();
    for (int64_t level = 0; level < model.trees().depth(); ++level) {
      const int64_t path = leaves[i] >> (model.trees().depth() - 1 - level);
      const float threshold = model.trees().threshold(codebook, level, path >> 1);
      x.push_back(path & 1 ? std::nextafter(threshold, testing::kInfinity) : threshold);
    }
  }
  return x;
}

void expect_codes(const Executors& executors, MatrixView<const float> x, const std::vector<uint8_t>& expected) {
  for (const auto& [name, executor] : executors.all()) {
    std::vector<uint8_t> codes(expected.size());
    executor->encode(x, row_major(codes.data(), x.rows, codes.size() / x.rows));
    EXPECT_EQ(codes, expected) << name;
  }
}

// Row-major ones by as many calls, of fewer rows than a block, as it takes: that is how short rows are accumulated.
void run_in_parts(const Executor& executor, MatrixView<const float> x, MatrixView<float> y) {
  constexpr int64_t kRows = 7;
  for (int64_t row = 0; row < x.rows; row += kRows) {
    const int64_t count = std::min(kRows, x.rows - row);
    executor.outputs(x.row_range(row, count), y.row_range(row, count));
  }
}

void expect_outputs(const Executors& executors, const Model& model, MatrixView<const float> x) {
  const int64_t n_outputs = model.n_outputs();
  std::vector<float> expected(x.rows * n_outputs);
  reference(model, x, row_major(expected.data(), x.rows, n_outputs));
  for (const auto& [name, executor] : executors.all()) {
    std::vector<float> rows(expected.size()), columns(expected.size());
    executor->outputs(x, row_major(rows.data(), x.rows, n_outputs));
    EXPECT_EQ(std::memcmp(rows.data(), expected.data(), 4 * rows.size()), 0) << name << ", row-major";
    run_in_parts(*executor, x, row_major(rows.data(), x.rows, n_outputs));
    EXPECT_EQ(std::memcmp(rows.data(), expected.data(), 4 * rows.size()), 0) << name << ", some rows at a time";
    const auto y = col_major(columns.data(), x.rows, n_outputs);
    executor->outputs(x, y);
    for (int64_t i = 0; i < x.rows; ++i) {
      for (int64_t m = 0; m < n_outputs; ++m) rows[i * n_outputs + m] = y(i, m);
    }
    EXPECT_EQ(std::memcmp(rows.data(), expected.data(), 4 * rows.size()), 0) << name << ", column-major";
  }
}

class EveryDepth : public ::testing::TestWithParam<int64_t> {
 protected:
  int64_t depth() const { return GetParam(); }
  int64_t n_leaves() const { return int64_t{1} << depth(); }
};
INSTANTIATE_TEST_SUITE_P(Depths, EveryDepth, ::testing::Range(int64_t{1}, HashTrees::kMaxDepth + 1));

TEST_P(EveryDepth, AllLeavesAreReached) {
  constexpr int64_t kCodebooks = 5;
  std::vector<uint8_t> leaves;
  for (int64_t row = 0; row < 256 + 1; ++row) {
    for (int64_t c = 0; c < kCodebooks; ++c) leaves.push_back(static_cast<uint8_t>((row + 77 * c) % n_leaves()));
  }
  const Model model = selecting_model(depth(), kCodebooks, 6);
  const std::vector<float> input = rows_for(model, leaves);
  const auto x = row_major(input.data(), 256 + 1, model.n_features());
  const Executors executors(model);
  expect_codes(executors, x, leaves);
  expect_outputs(executors, model, x);
}

// The four codes of a lane are packed from negative numbers: each of them in turn the smallest, the largest and in
// between, beside all the others.
TEST_P(EveryDepth, CodesOfALaneDoNotTouchEachOther) {
  const uint8_t some[] = {0, 1, static_cast<uint8_t>(n_leaves() / 2), static_cast<uint8_t>(n_leaves() - 1)};
  constexpr int64_t kLanes = 8, kBlocks = 256 / kLanes;
  std::vector<uint8_t> leaves;
  for (int64_t block = 0; block < kBlocks; ++block) {
    for (int64_t group = 0; group < 4; ++group) {
      for (int64_t lane = 0; lane < kLanes; ++lane) leaves.push_back(some[((block * kLanes + lane) >> 2 * group) & 3]);
    }
  }
  const Model model = selecting_model(depth(), 1, 1);
  const std::vector<float> input = rows_for(model, leaves);
  expect_codes(Executors(model), row_major(input.data(), 32 * kBlocks, depth()), leaves);
}

TEST_P(EveryDepth, SumsAtTheLimit) {
  constexpr int64_t kCodebooks = Tables::kMaxCodebooks, kRows = 67, kOutputs = 2;
  std::vector<uint8_t> lut(kCodebooks * n_leaves() * kOutputs);
  for (size_t i = 0; i < lut.size(); ++i) lut[i] = i % kOutputs == 0 || i % 7 < 3 ? 255 : 0;
  const Model model = selecting_model(depth(), kCodebooks, kOutputs, lut);
  std::mt19937_64 rng(21);
  std::vector<uint8_t> leaves(kRows * kCodebooks);
  for (uint8_t& leaf : leaves) leaf = static_cast<uint8_t>(rng() % n_leaves());
  const std::vector<float> input = rows_for(model, leaves);
  const auto x = row_major(input.data(), kRows, model.n_features());
  const Executors executors(model);
  expect_outputs(executors, model, x);
  const float largest = 256.0f * 255.0f * model.tables().scale()[0] + model.tables().offset()[0];
  for (const auto& [name, executor] : executors.all()) {
    std::vector<float> y(kRows * kOutputs);
    executor->outputs(x, row_major(y.data(), kRows, kOutputs));
    for (int64_t row = 0; row < kRows; ++row) EXPECT_EQ(y[row * kOutputs], largest) << name;
  }
}

TEST_P(EveryDepth, PartsOfTreesWithoutEffect) {
  constexpr int64_t kRows = 300, kFeatures = 40;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const int64_t n_codebooks = 1 + static_cast<int64_t>(seed) % 9;
    const Model model = testing::structured_model(seed, {kFeatures, 3, n_codebooks, depth()});
    std::mt19937_64 rng(seed);
    const std::vector<float> input = testing::random_input(rng, kRows * kFeatures);
    const auto x = row_major(input.data(), kRows, kFeatures);
    std::vector<uint8_t> codes(kRows * n_codebooks);
    reference_codes(model.encoder(), x, row_major(codes.data(), kRows, n_codebooks));
    const Executors executors(model);
    expect_codes(executors, x, codes);
    expect_outputs(executors, model, x);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

}  // namespace
}  // namespace mithral
