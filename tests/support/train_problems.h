// Problems to train on, and what every trained model owes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "train/train.h"

namespace mithral::testing {

struct Problem {
  int64_t n, d, m;
  std::vector<float> a, b;

  Problem(int64_t rows, int64_t features, int64_t outputs)
      : n(rows), d(features), m(outputs), a(rows * features), b(features * outputs) {}
  MatrixView<const float> A() const { return row_major(a.data(), n, d); }
  MatrixView<const float> B() const { return row_major(b.data(), d, m); }
};

inline void fill_normal(std::vector<float>& values, std::mt19937& random) {
  std::normal_distribution<float> normal;
  for (float& value : values) value = normal(random);
}

inline Problem normal_problem(int64_t n, int64_t d, int64_t m, unsigned seed = 0) {
  std::mt19937 random(seed);
  Problem problem(n, d, m);
  fill_normal(problem.a, random);
  fill_normal(problem.b, random);
  return problem;
}

// A = relu(Z P + noise) with few latent dimensions, as the activations of a trained layer look.
inline Problem low_rank_problem(int64_t n, int64_t d, int64_t m, int64_t rank = 4, unsigned seed = 0) {
  std::mt19937 random(seed);
  std::vector<float> z(n * rank), p(rank * d);
  fill_normal(z, random);
  fill_normal(p, random);
  Problem problem = normal_problem(n, d, m, seed + 1);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < d; ++j) {
      float value = 0.05f * problem.a[i * d + j];
      for (int64_t k = 0; k < rank; ++k) value += z[i * rank + k] * p[k * d + j];
      problem.a[i * d + j] = std::max(0.f, value);
    }
  }
  return problem;
}

inline Model train(const Problem& problem, const TrainOptions& options = {}) {
  return mithral::train(problem.A(), problem.B(), options);
}

inline void expect_sane_report(const Model& model, int64_t n) {
  const Report& report = model.report();
  for (const char* key : {"nmse", "r2", "argmax_agreement", "n_holdout", "n_train", "lambda"}) {
    ASSERT_TRUE(report.contains(key)) << key;
    EXPECT_TRUE(std::isfinite(report.at(key))) << key << " is " << report.at(key);
  }
  EXPECT_GE(report.at("nmse"), 0);
  EXPECT_EQ(report.at("r2"), 1 - report.at("nmse"));
  EXPECT_GE(report.at("argmax_agreement"), 0);
  EXPECT_LE(report.at("argmax_agreement"), 1);
  EXPECT_GE(report.at("n_holdout"), 1);
  EXPECT_EQ(report.at("n_holdout") + report.at("n_train"), n);
  EXPECT_GT(report.at("lambda"), 0);
  for (const float scale : model.tables().scale()) EXPECT_GT(scale, 0);
}

inline void expect_same_arrays(const Model& x, const Model& y) {
  EXPECT_EQ(x.trees().split_dims(), y.trees().split_dims());
  EXPECT_EQ(x.trees().thresholds(), y.trees().thresholds());
  EXPECT_EQ(x.tables().lut(), y.tables().lut());
  EXPECT_EQ(x.tables().scale(), y.tables().scale());
  EXPECT_EQ(x.tables().offset(), y.tables().offset());
}

inline void expect_same(const Model& x, const Model& y) {
  expect_same_arrays(x, y);
  EXPECT_EQ(x.report(), y.report());
}

}  // namespace mithral::testing
