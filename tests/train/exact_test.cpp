// What train() owes to data that is easy: rows of few values come back exactly, up to the rounding of the tables.
#include "train/train.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "codegen/model/reference.h"
#include "tests/support/train_problems.h"

namespace mithral {
namespace {

using namespace testing;

// Every subspace of `width` columns holds one of `n_prototypes` prototypes, drawn anew for each row.
Problem prototype_problem(int64_t n, int64_t n_subspaces, int64_t width, int64_t m, int64_t n_prototypes,
                          unsigned seed) {
  std::mt19937 random(seed);
  Problem problem(n, n_subspaces * width, m);
  fill_normal(problem.b, random);
  std::vector<float> prototypes(n_subspaces * n_prototypes * width);
  fill_normal(prototypes, random);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t s = 0; s < n_subspaces; ++s) {
      const auto prototype = static_cast<int64_t>(random() % n_prototypes);
      std::copy_n(prototypes.begin() + (s * n_prototypes + prototype) * width, width,
                  problem.a.begin() + i * problem.d + s * width);
    }
  }
  return problem;
}

Problem integer_problem(int64_t n, int64_t d, int64_t m, int64_t n_values, unsigned seed) {
  std::mt19937 random(seed);
  Problem problem(n, d, m);
  fill_normal(problem.b, random);
  for (float& value : problem.a) value = static_cast<float>(random() % n_values);
  return problem;
}

// Each of the C tables is off by at most half a step, as the entries of an exact model would be; the ridge penalty of
// the fit and float32 rounding get a small share of the largest output on top.
void expect_exact_up_to_rounding(const Model& model, const Problem& problem) {
  constexpr double kFitError = 1e-4;
  std::vector<float> y(problem.n * problem.m);
  reference(model, problem.A(), row_major(y.data(), problem.n, problem.m));
  std::vector<double> error(problem.m), largest(problem.m);
  for (int64_t i = 0; i < problem.n; ++i) {
    for (int64_t m = 0; m < problem.m; ++m) {
      double exact = 0;
      for (int64_t j = 0; j < problem.d; ++j) exact += double{problem.A()(i, j)} * problem.B()(j, m);
      error[m] = std::max(error[m], std::abs(exact - y[i * problem.m + m]));
      largest[m] = std::max(largest[m], std::abs(exact));
    }
  }
  for (int64_t m = 0; m < problem.m; ++m) {
    const double rounding = 0.5 * static_cast<double>(model.n_codebooks()) * model.tables().scale()[m];
    EXPECT_LE(error[m], rounding + kFitError * largest[m]) << "output " << m << " of " << problem.m;
  }
}

TEST(TrainExact, IntegersOfOneColumnPerCodebook) {
  for (const int64_t n_codebooks : {4, 8, 16}) {
    for (const int64_t n_outputs : {1, 3, 40}) {
      SCOPED_TRACE(::testing::Message() << n_codebooks << " codebooks, " << n_outputs << " outputs");
      const Problem problem = integer_problem(2000, n_codebooks, n_outputs, 16, 1);
      expect_exact_up_to_rounding(train(problem, {.n_codebooks = n_codebooks}), problem);
    }
  }
}

TEST(TrainExact, PrototypesOfSeveralColumnsPerCodebook) {
  int64_t width = 2;  // by turns, so that each meets every number of codebooks and of outputs
  for (const int64_t n_codebooks : {4, 8, 16}) {
    for (const int64_t n_outputs : {1, 3, 40}) {
      SCOPED_TRACE(::testing::Message() << n_codebooks << " codebooks, " << n_outputs << " outputs, " << width);
      const Problem problem = prototype_problem(1000, n_codebooks, width, n_outputs, 16, 2);
      expect_exact_up_to_rounding(train(problem, {.n_codebooks = n_codebooks}), problem);
      width = 7 - width;
    }
  }
}

TEST(TrainExact, FewerPrototypesInShallowerTrees) {
  for (const int64_t depth : {1, 2, 3}) {
    SCOPED_TRACE(::testing::Message() << "depth " << depth);
    const Problem problem = prototype_problem(1000, 6, 3, 5, int64_t{1} << depth, 3);
    expect_exact_up_to_rounding(train(problem, {.n_codebooks = 6, .depth = depth}), problem);
  }
}

}  // namespace
}  // namespace mithral
