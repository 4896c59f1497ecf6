// What the options of train() promise: class probabilities, cache lines, room for the code generator.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <vector>

#include "codegen/model/error.h"
#include "codegen/model/reference.h"
#include "tests/support/train_problems.h"
#include "train/train.h"

namespace mithral {
namespace {

using namespace testing;

constexpr int kOutputs = 10;

struct Layer {
  int n, d;
  std::vector<float> rows;     // (n, d)
  std::vector<float> weights;  // (d, kOutputs)

  MatrixView<const float> a() const { return row_major<const float>(rows.data(), n, d); }
  MatrixView<const float> b() const { return row_major<const float>(weights.data(), d, kOutputs); }
};

// A classifier's last layer: rows with 8 hidden dimensions, of which every column is a noisy mix, after a ReLU.
Layer classifier(int n, unsigned seed, int d = 128) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  constexpr int kHidden = 8;
  std::vector<float> mix(kHidden * d), hidden(kHidden);
  for (float& value : mix) value = normal(random);
  Layer layer{n, d, std::vector<float>(n * d), std::vector<float>(d * kOutputs)};
  for (float& value : layer.weights) value = normal(random);
  for (int i = 0; i < n; ++i) {
    for (float& value : hidden) value = normal(random);
    for (int j = 0; j < d; ++j) {
      float sum = 0.1f * normal(random);
      for (int h = 0; h < kHidden; ++h) sum += hidden[h] * mix[h * d + j];
      layer.rows[i * d + j] = std::max(sum, 0.0f);
    }
  }
  return layer;
}

TEST(TrainOptions, ArgmaxAgreesMoreOften) {
  const Layer layer = classifier(6000, 1);
  const Model mse = train(layer.a(), layer.b(), {.n_codebooks = 4});
  const Model argmax = train(layer.a(), layer.b(), {.n_codebooks = 4, .objective = "argmax"});
  EXPECT_EQ(mse.trees().split_dims(), argmax.trees().split_dims());
  EXPECT_EQ(mse.trees().thresholds(), argmax.trees().thresholds());
  EXPECT_GT(argmax.report().at("argmax_agreement"), mse.report().at("argmax_agreement") + 0.01);
  EXPECT_GT(argmax.report().at("nmse"), mse.report().at("nmse"));
  EXPECT_GT(argmax.report().at("temperature"), 0);
  EXPECT_EQ(mse.report().at("temperature"), 0);
}

double agreement_on(const Problem& fresh, const Model& model) {
  std::vector<float> y(fresh.n * fresh.m);
  reference(model, fresh.A(), row_major(y.data(), fresh.n, fresh.m));
  int64_t agreeing = 0;
  for (int64_t i = 0; i < fresh.n; ++i) {
    std::vector<double> exact(fresh.m);
    for (int64_t j = 0; j < fresh.d; ++j) {
      for (int64_t m = 0; m < fresh.m; ++m) exact[m] += static_cast<double>(fresh.A()(i, j)) * fresh.B()(j, m);
    }
    const auto largest = std::max_element(exact.begin(), exact.end()) - exact.begin();
    const auto first = y.begin() + i * fresh.m;
    agreeing += std::max_element(first, first + fresh.m) - first == largest ? 1 : 0;
  }
  return static_cast<double>(agreeing) / static_cast<double>(fresh.n);
}

// White noise has nothing to learn but accidents of the rows at hand.
TEST(TrainOptions, ArgmaxDoesNoHarmWithoutStructure) {
  for (const unsigned seed : {0, 1}) {
    const Problem problem = normal_problem(1500, 24, 6, seed);
    Problem fresh = normal_problem(8000, 24, 6, seed + 100);
    fresh.b = problem.b;
    const Model mse = train(problem, {.n_codebooks = 8});
    const Model argmax = train(problem, {.n_codebooks = 8, .objective = "argmax"});
    EXPECT_GT(agreement_on(fresh, argmax), agreement_on(fresh, mse) - 0.005) << "seed " << seed;
  }
}

TEST(TrainOptions, ArgmaxCountsTheBias) {
  const Layer layer = classifier(1000, 2, 64);
  std::vector<float> bias(kOutputs, 0.0f);
  bias[3] = 1e4f;  // this class always wins
  const Model model = train(layer.a(), layer.b(), bias, {.n_codebooks = 4, .objective = "argmax"});
  EXPECT_EQ(model.report().at("argmax_agreement"), 1);
}

TEST(TrainOptions, ArgmaxOfOneOutputIsMse) {
  const Layer layer = classifier(500, 3);
  const MatrixView<const float> one_output{layer.weights.data(), layer.d, 1, kOutputs, 1};
  const Model mse = train(layer.a(), one_output, {.n_codebooks = 4});
  const Model argmax = train(layer.a(), one_output, {.n_codebooks = 4, .objective = "argmax"});
  EXPECT_EQ(mse.tables().lut(), argmax.tables().lut());
}

TEST(TrainOptions, ArgmaxOfOutputsBeyondFloatIsRefusedClearly) {
  Layer layer = classifier(200, 8);
  for (float& weight : layer.weights) weight *= 1e37f;
  for (float& value : layer.rows) value *= 1e4f;
  for (const char* objective : {"mse", "argmax"}) {
    EXPECT_THROW(train(layer.a(), layer.b(), {.n_codebooks = 2, .objective = objective}), InvalidArgument) << objective;
  }
}

TEST(TrainOptions, ArgmaxIsIndependentOfThreads) {
  const Layer layer = classifier(800, 4, 32);
  const Model one = train(layer.a(), layer.b(), {.n_codebooks = 4, .objective = "argmax", .n_threads = 1});
  const Model three = train(layer.a(), layer.b(), {.n_codebooks = 4, .objective = "argmax", .n_threads = 3});
  EXPECT_EQ(one.tables().lut(), three.tables().lut());
  EXPECT_EQ(one.tables().offset(), three.tables().offset());
}

TEST(TrainOptions, RowLayoutReadsFewerCacheLines) {
  const Layer layer = classifier(1500, 5, 256);
  const Model column = train(layer.a(), layer.b(), {.n_codebooks = 6});
  const Model row = train(layer.a(), layer.b(), {.n_codebooks = 6, .layout = "row"});

  EXPECT_LT(row.report().at("cache_lines"), 0.7 * column.report().at("cache_lines"));
  EXPECT_GT(row.report().at("line_tolerance"), 0);
  EXPECT_LT(row.report().at("nmse"), 1.1 * column.report().at("nmse"));

  std::set<int> lines;  // of rows that start 16 bytes into a line, as NumPy's do
  for (const int32_t column_read : row.trees().split_dims()) lines.insert((column_read + 4) / 16);
  EXPECT_GE(static_cast<double>(lines.size()), row.report().at("cache_lines"));
}

TEST(TrainOptions, RoundingToleranceBoundsTheEntries) {
  const Layer layer = classifier(800, 6);
  const Model exact = train(layer.a(), layer.b(), {.n_codebooks = 4, .rounding_tolerance = 0});
  const Model rounded = train(layer.a(), layer.b(), {.n_codebooks = 4, .rounding_tolerance = 0.05});
  const Model any = train(layer.a(), layer.b(), {.n_codebooks = 4, .rounding_tolerance = 1});
  EXPECT_EQ(exact.report().at("max_entry"), 255);
  EXPECT_EQ(any.report().at("max_entry"), 63);
  EXPECT_LE(rounded.report().at("rounding_rise"), 0.05);
  EXPECT_LT(rounded.report().at("nmse"), 1.1 * exact.report().at("nmse"));
  for (const uint8_t entry : any.tables().lut()) EXPECT_LE(entry, 63);
}

std::string refusal(const TrainOptions& options) {
  const Layer layer = classifier(10, 7);
  try {
    train(layer.a(), layer.b(), options);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(TrainOptions, NonsenseIsRefused) {
  EXPECT_EQ(refusal({.layout = "rows"}), "layout is \"rows\"; allowed: \"column\", \"row\"");
  EXPECT_EQ(refusal({.objective = "mae"}), "objective is \"mae\"; allowed: \"mse\", \"argmax\", \"reconstruction\"");
  EXPECT_EQ(refusal({.rounding_tolerance = -0.5}), "rounding_tolerance is -0.5; allowed: 0 to 1");
  EXPECT_EQ(refusal({.rounding_tolerance = std::nan("")}), "rounding_tolerance is nan; allowed: 0 to 1");
}

}  // namespace
}  // namespace mithral
