// train() as a caller sees it: what is learned, and that nothing else decides the result.
#include "train/train.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "codegen/model/reference.h"
#include "tests/support/train_problems.h"

namespace mithral {
namespace {

using namespace testing;

// --- what is learned ---

TEST(Train, StructuredDataIsLearnedAndMoreCodebooksHelp) {
  const Problem problem = low_rank_problem(1200, 64, 10);
  double previous = 1;
  for (const int64_t n_codebooks : {1, 4, 16}) {
    const Model model = train(problem, {.n_codebooks = n_codebooks});
    expect_sane_report(model, problem.n);
    EXPECT_LT(model.report().at("nmse"), 0.7 * previous) << n_codebooks << " codebooks";
    previous = model.report().at("nmse");
  }
  EXPECT_LT(previous, 0.06);
}

struct Quality {
  double nmse = 0;
  double argmax_agreement = 0;
};

// The figures of the report, from their definitions.
Quality quality(const Model& model, const Problem& problem) {
  const int64_t n = problem.n, n_outputs = problem.m;
  std::vector<float> y(n * n_outputs);
  reference(model, problem.A(), row_major(y.data(), n, n_outputs));
  std::vector<double> exact(n * n_outputs), mean(n_outputs);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t m = 0; m < n_outputs; ++m) {
      for (int64_t j = 0; j < problem.d; ++j) exact[i * n_outputs + m] += double{problem.A()(i, j)} * problem.B()(j, m);
      mean[m] += exact[i * n_outputs + m] / static_cast<double>(n);
    }
  }
  double error = 0, variance = 0, agreeing = 0;
  for (int64_t i = 0; i < n; ++i) {
    const auto truth = exact.begin() + i * n_outputs;
    const auto row = y.begin() + i * n_outputs;
    for (int64_t m = 0; m < n_outputs; ++m) {
      error += std::pow(truth[m] - row[m], 2);
      variance += std::pow(truth[m] - mean[m], 2);
    }
    agreeing += std::max_element(truth, truth + n_outputs) - truth == std::max_element(row, row + n_outputs) - row;
  }
  return {error / variance, agreeing / static_cast<double>(n)};
}

// The first rows of a problem, and the rest.
std::pair<Problem, Problem> split(const Problem& problem, int64_t first_rows) {
  Problem first = problem, rest = problem;
  first.n = first_rows;
  rest.n = problem.n - first_rows;
  first.a.resize(first_rows * problem.d);
  rest.a.erase(rest.a.begin(), rest.a.begin() + first_rows * problem.d);
  return {first, rest};
}

TEST(Train, ReportIsWhatTheModelDoesOnFreshRows) {
  const auto [seen, fresh] = split(low_rank_problem(6000, 32, 10), 3000);
  const Model model = train(seen, {.n_codebooks = 8});
  const Quality expected = quality(model, fresh);
  EXPECT_NEAR(model.report().at("nmse"), expected.nmse, 0.2 * expected.nmse);
  EXPECT_NEAR(model.report().at("argmax_agreement"), expected.argmax_agreement, 0.06);
}

TEST(Train, RowsThatWereLearnedFromDoNotFlatterTheReport) {
  const auto [seen, fresh] = split(normal_problem(1400, 64, 4), 400);  // few noisy rows: easily learned by heart
  const Model model = train(seen, {.n_codebooks = 16});
  EXPECT_LT(quality(model, seen).nmse, 0.9 * quality(model, fresh).nmse);
  EXPECT_GT(model.report().at("nmse"), 0.7 * quality(model, fresh).nmse);
}

TEST(Train, BiasShiftsTheOffsetOnly) {
  const Problem problem = low_rank_problem(500, 16, 3);
  const std::vector<float> bias{1, -2, 300};
  const Model without = train(problem, {.n_codebooks = 4});
  const Model with = mithral::train(problem.A(), problem.B(), bias, {.n_codebooks = 4});
  EXPECT_EQ(without.tables().lut(), with.tables().lut());
  EXPECT_EQ(without.tables().scale(), with.tables().scale());
  for (int m = 0; m < 3; ++m) EXPECT_NEAR(with.tables().offset()[m] - without.tables().offset()[m], bias[m], 1e-4);
  EXPECT_NEAR(with.report().at("nmse"), without.report().at("nmse"), 1e-4);
}

TEST(Train, MoreCodebooksThanTheDataSupportsDoNoHarm) {
  // Judged on many fresh rows: of so few, those that a report holds out say little.
  const auto [noise, more_noise] = split(normal_problem(3100, 32, 4), 100);
  const auto [structured, more_structured] = split(low_rank_problem(3300, 32, 4, 2), 300);
  const Model model = train(noise, {.n_codebooks = 32});
  expect_sane_report(model, 100);
  EXPECT_LT(quality(model, more_noise).nmse, 0.33);
  const Model better = train(structured, {.n_codebooks = 32});
  EXPECT_LT(quality(better, more_structured).nmse, 0.013);
}

// --- the same result, whatever the way ---

TEST(Train, IsIndependentOfThreadsAndRepeats) {
  const Problem problem = low_rank_problem(700, 30, 5);
  const Model first = train(problem, {.n_codebooks = 3});
  for (const int64_t n_threads : {1, 2, 3, 16}) {
    SCOPED_TRACE(::testing::Message() << n_threads << " threads");
    expect_same(first, train(problem, {.n_codebooks = 3, .n_threads = n_threads}));
  }
}

TEST(Train, TheSeedOnlyDealsTheRows) {
  const Problem problem = low_rank_problem(1000, 16, 3);
  const Model zero = train(problem, {.n_codebooks = 4});
  const Model one = train(problem, {.n_codebooks = 4, .seed = 1});
  EXPECT_NE(zero.report(), one.report());

  Problem twins = problem;  // all rows alike: however they are dealt, the same model follows
  for (int64_t i = 0; i < twins.n; ++i) std::copy_n(problem.a.begin(), twins.d, twins.a.begin() + i * twins.d);
  expect_same(train(twins, {.n_codebooks = 4}), train(twins, {.n_codebooks = 4, .seed = 1}));
}

TEST(Train, StridesDoNotMatter) {
  const Problem problem = low_rank_problem(400, 12, 3);
  const Model expected = train(problem, {.n_codebooks = 3});
  const int64_t n = problem.n, d = problem.d;

  std::vector<float> columns(n * d), reversed(n * d), spread(n * d * 6, std::numeric_limits<float>::quiet_NaN());
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < d; ++j) {
      const float value = problem.a[i * d + j];
      columns[j * n + i] = value;
      reversed[(n - 1 - i) * d + (d - 1 - j)] = value;
      spread[i * d * 6 + j * 3] = value;
    }
  }
  expect_same(expected, mithral::train(col_major<const float>(columns.data(), n, d), problem.B(), {.n_codebooks = 3}));
  expect_same(expected, mithral::train({reversed.data() + n * d - 1, n, d, -d, -1}, problem.B(), {.n_codebooks = 3}));
  expect_same(expected, mithral::train({spread.data(), n, d, d * 6, 3}, problem.B(), {.n_codebooks = 3}));

  std::vector<float> b(problem.b.size());
  for (int64_t j = 0; j < d; ++j) {
    for (int64_t m = 0; m < 3; ++m) b[m * d + j] = problem.b[j * 3 + m];
  }
  expect_same(expected, mithral::train(problem.A(), col_major<const float>(b.data(), d, 3), {.n_codebooks = 3}));
}

TEST(Train, ZeroStridesRepeatAValue) {
  const Problem problem = low_rank_problem(200, 8, 2);
  std::vector<float> repeated(200 * 8);
  for (int64_t i = 0; i < 200; ++i) std::fill_n(repeated.begin() + i * 8, 8, problem.a[i * 8]);
  expect_same(mithral::train(row_major<const float>(repeated.data(), 200, 8), problem.B(), {.n_codebooks = 2}),
              mithral::train({problem.a.data(), 200, 8, 8, 0}, problem.B(), {.n_codebooks = 2}));
}

}  // namespace
}  // namespace mithral
