// train() with very few rows, and with more of them than are held in memory.
#include "train/train.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "codegen/model/reference.h"
#include "tests/support/train_problems.h"
#include "train/samples.h"

namespace mithral {
namespace {

using namespace testing;

double exact(const Problem& problem, int64_t i, int64_t output) {
  double sum = 0;
  for (int64_t j = 0; j < problem.d; ++j) sum += double{problem.A()(i, j)} * problem.B()(j, output);
  return sum;
}

std::vector<float> outputs_of(const Model& model, const Problem& problem) {
  std::vector<float> y(problem.n * problem.m);
  reference(model, problem.A(), row_major(y.data(), problem.n, problem.m));
  return y;
}

// Squared error over the square of the outputs, whose mean is 0.
double error_share(const Model& model, const Problem& problem) {
  const std::vector<float> y = outputs_of(model, problem);
  double error = 0, squares = 0;
  for (int64_t i = 0; i < problem.n; ++i) {
    for (int64_t m = 0; m < problem.m; ++m) {
      error += std::pow(exact(problem, i, m) - y[i * problem.m + m], 2);
      squares += std::pow(exact(problem, i, m), 2);
    }
  }
  return error / squares;
}

// The same columns and outputs for rows that are drawn afresh.
Problem fresh_rows(const Problem& problem, int64_t n, unsigned seed) {
  Problem fresh = normal_problem(n, problem.d, problem.m, seed);
  fresh.b = problem.b;
  return fresh;
}

TEST(FewRows, TwoRowsGiveTheOutputsOfOne) {
  for (const int64_t d : {1, 7}) {
    const Problem problem = normal_problem(2, d, 3, 1);
    const Model model = train(problem, {.n_codebooks = 3});
    const std::vector<float> y = outputs_of(model, problem);
    const auto is_output_of = [&](int64_t row) {
      for (int64_t i = 0; i < 6; ++i) {
        if (std::abs(y[i] - exact(problem, row, i % 3)) > 1e-5) return false;
      }
      return true;
    };
    EXPECT_TRUE(is_output_of(0) || is_output_of(1)) << "the other is held out";
  }
}

TEST(FewRows, OutputsStayAmongThoseSeen) {
  // Leaves average outputs, so they cannot go far beyond them, however many codebooks share the work.
  for (const int64_t n : {3, 10, 100}) {
    for (const int64_t d : {1, 5}) {
      for (const int64_t m : {1, 3}) {
        SCOPED_TRACE(::testing::Message() << n << " rows, D " << d << ", M " << m);
        const Problem problem = normal_problem(n, d, m, static_cast<unsigned>(n));
        const Model model = train(problem, {.n_codebooks = 4});
        double largest = 0;
        for (int64_t i = 0; i < n * m; ++i) largest = std::max(largest, std::abs(exact(problem, i / m, i % m)));
        for (const float y : outputs_of(model, fresh_rows(problem, 500, 9))) EXPECT_LE(std::abs(y), 1.5 * largest);
      }
    }
  }
}

TEST(FewRows, MoreCodebooksDoLittleHarm) {
  // Judged on many fresh rows: the few that a report holds out would say little.
  for (const auto& [n, d] : {std::pair<int64_t, int64_t>{24, 16}, {60, 40}}) {
    SCOPED_TRACE(::testing::Message() << n << " rows of " << d);
    const Problem problem = normal_problem(n, d, 4, 1);
    const Problem fresh = fresh_rows(problem, 2000, 101);
    const double one = error_share(train(problem, {.n_codebooks = 1}), fresh);
    const double four = error_share(train(problem, {.n_codebooks = 4}), fresh);
    const double sixteen = error_share(train(problem, {.n_codebooks = 16}), fresh);
    EXPECT_LT(one, 1.1);
    if (d == 16) {  // a codebook a column at most
      EXPECT_LT(four, 1.01 * one);
      EXPECT_LT(sixteen, 0.5 * four);
    } else {
      EXPECT_LT(std::max(four, sixteen), 1.25 * one);
    }
  }
}

TEST(FewRows, ConstantColumnsAreNeverSplitOn) {
  Problem problem = normal_problem(120, 9, 2, 4);
  for (int64_t i = 0; i < 120; ++i) {
    for (int64_t j = 0; j < 9; j += 2) problem.a[i * 9 + j] = 1;
  }
  const Model model = train(problem, {.n_codebooks = 3});
  const HashTrees& trees = model.trees();
  int64_t n_splits = 0;
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t l = 0; l < 4; ++l) {
      const std::span<const float> level(trees.thresholds().data() + c * 15 + (1 << l) - 1, 1 << l);
      const bool splits = std::any_of(level.begin(), level.end(), [](float t) { return std::isfinite(t); });
      n_splits += splits ? 1 : 0;
      EXPECT_TRUE(!splits || trees.split_dim(c, l) % 2 == 1) << "codebook " << c << " level " << l;
    }
  }
  EXPECT_GT(n_splits, 3);
}

// --- more rows than are copied ---

TEST(ManyRows, LearnAsWellAndAreIndependentOfThreads) {
  const Problem fresh = normal_problem(5000, 8, 3, 1);
  double previous = 1;
  for (const int64_t n : {10'000, 40'000, 60'000}) {
    Problem problem = normal_problem(n, 8, 3, 2);
    problem.b = fresh.b;
    int64_t done = 0, total = 0;
    TrainOptions options{.n_codebooks = 2};
    options.progress = [&](int64_t steps, int64_t all) {
      EXPECT_GE(steps, done);
      done = steps;
      total = all;
    };
    const Model one = train(problem, options);
    EXPECT_GT(total, 0);
    EXPECT_EQ(done, total);
    const double error = error_share(one, fresh);
    EXPECT_LT(error, 1.03 * previous) << n << " rows";
    EXPECT_NEAR(error, one.report().at("nmse"), 0.05 * error) << n << " rows";
    previous = error;

    for (const int64_t n_threads : {2, 3}) {
      options.n_threads = n_threads;
      done = 0;
      const Model many = train(problem, options);
      EXPECT_EQ(many.trees().split_dims(), one.trees().split_dims());
      EXPECT_EQ(many.trees().thresholds(), one.trees().thresholds());
      EXPECT_EQ(many.tables().lut(), one.tables().lut());
      EXPECT_EQ(many.tables().scale(), one.tables().scale());
      EXPECT_EQ(many.tables().offset(), one.tables().offset());
      EXPECT_EQ(many.report(), one.report());
    }
  }
}

TEST(ManyRows, TablesAreFittedToThoseThatAreStreamedToo) {
  // Column 1 is 1 in the rows that are streamed, which trees never see, so all it can do is to shift the mean.
  Problem problem = normal_problem(60'000, 2, 1, 3);
  problem.b = {1, 1};
  for (int64_t i = 0; i < problem.n; ++i) problem.a[i * 2 + 1] = static_cast<float>(i);
  const train_internal::Samples samples(problem.A(), 0);
  const train_internal::RowCounts counts = samples.counts();
  for (int64_t i = 0; i < problem.n; ++i) problem.a[i * 2 + 1] = 1;
  for (const auto& copied : {samples.training(), samples.holdout()}) {
    for (int64_t i = 0; i < copied.rows(); ++i) problem.a[static_cast<int64_t>(copied(i, 1)) * 2 + 1] = 0;
  }

  const Model model = train(problem, {.n_codebooks = 1, .depth = 2});
  double mean = 0;
  for (const float y : outputs_of(model, problem)) mean += y / static_cast<double>(problem.n);
  const double share = static_cast<double>(counts.streamed) / static_cast<double>(problem.n - counts.holdout);
  EXPECT_GT(share, 0.25);
  EXPECT_NEAR(mean, share, 0.03) << "the average of column 0 is nearly 0";
}

}  // namespace
}  // namespace mithral
