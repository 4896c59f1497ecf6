// The joint regression against a dense solve of the same problem, and the tables against the entries they stand for.
#include <gtest/gtest.h>

#include <Eigen/Cholesky>
#include <atomic>
#include <cmath>
#include <random>
#include <utility>

#include "codegen/model/error.h"
#include "train/evaluate.h"
#include "train/parallel_for.h"
#include "train/quantize_lut.h"
#include "train/ridge.h"

namespace mithral::train_internal {
namespace {

constexpr int kEntries = 10;  // any number will do: no power of two is needed

struct Data {
  Codes codes;
  MatrixF rows;
  MatrixD b;
};

Data random_data(int n, int n_codebooks, int n_features, int n_outputs, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Data data{Codes(n, n_codebooks), MatrixF(n, n_features), MatrixD(n_features, n_outputs)};
  for (float& value : data.rows.reshaped()) value = normal(random) + 3;
  for (double& value : data.b.reshaped()) value = normal(random);
  for (int i = 0; i < n; ++i) {
    // The last entry of codebook 0 stays without rows.
    for (int c = 0; c < n_codebooks; ++c) {
      data.codes(i, c) = static_cast<uint8_t>(random() % (c == 0 ? kEntries - 1 : kEntries));
    }
    data.rows(i, 0) += data.codes(i, n_codebooks - 1);
  }
  return data;
}

// Centred one-hot indicators, centred outputs, and a plain solve of (G'G + lambda I) W = G'Y.
MatrixD dense_predictions(const Data& data, double lambda) {
  Eigen::MatrixXd indicators = Eigen::MatrixXd::Zero(data.codes.rows(), data.codes.cols() * kEntries);
  for (int i = 0; i < data.codes.rows(); ++i) {
    for (int c = 0; c < data.codes.cols(); ++c) indicators(i, c * kEntries + data.codes(i, c)) = 1;
  }
  indicators.rowwise() -= indicators.colwise().mean().eval();
  Eigen::MatrixXd outputs = data.rows.cast<double>() * data.b;
  const Eigen::RowVectorXd mean = outputs.colwise().mean();
  outputs.rowwise() -= mean;
  Eigen::MatrixXd gram = indicators.transpose() * indicators;
  gram += lambda * Eigen::MatrixXd::Identity(gram.rows(), gram.cols());
  const Eigen::MatrixXd weights = gram.llt().solve(indicators.transpose() * outputs);
  return (indicators * weights).rowwise() + mean;
}

MatrixD predictions(const RealTables& tables, const Codes& codes) {
  MatrixD result = tables.mean.replicate(codes.rows(), 1);
  for (int i = 0; i < codes.rows(); ++i) {
    for (int c = 0; c < codes.cols(); ++c) result.row(i) += tables.entries.row(c * kEntries + codes(i, c));
  }
  return result;
}

TEST(Ridge, EqualsADenseSolve) {
  for (const double lambda : {0.01, 1.0, 300.0}) {
    const Data data = random_data(200, 5, 7, 3, 1);
    const RealTables tables = solve(sum_by_entry({data.rows, data.codes}, kEntries, 1), data.b, lambda);
    const MatrixD expected = dense_predictions(data, lambda);
    EXPECT_LT((predictions(tables, data.codes) - expected).cwiseAbs().maxCoeff(), 1e-9) << "lambda " << lambda;

    const MatrixD exact = data.rows.cast<double>() * data.b;
    EXPECT_NEAR(squared_error(tables, data.codes, exact), (expected - exact).squaredNorm(), 1e-6);
  }
}

TEST(Ridge, EntriesAverageToZeroAndThoseWithoutRowsAreNeutral) {
  const Data data = random_data(200, 3, 4, 2, 2);
  const RealTables tables = solve(sum_by_entry({data.rows, data.codes}, kEntries, 1), data.b, 1);
  for (int c = 0; c < 3; ++c) {
    Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(2);
    for (int i = 0; i < 200; ++i) sum += tables.entries.row(c * kEntries + data.codes(i, c));
    EXPECT_LT(sum.cwiseAbs().maxCoeff(), 1e-9) << "codebook " << c;
  }
  EXPECT_TRUE((tables.entries.row(kEntries - 1).array() == 0).all());
}

TEST(Ridge, IsIndependentOfThreads) {
  const Data data = random_data(90, 3, 4, 2, 3);
  const EntrySums one = sum_by_entry({data.rows, data.codes}, kEntries, 1);
  const EntrySums three = sum_by_entry({data.rows, data.codes}, kEntries, 3);
  EXPECT_EQ(solve(one, data.b, 1).entries, solve(three, data.b, 1).entries);
}

// Above kMaxFactored regressors, and with more outputs than are solved for at once.
Data many_codebooks(int n, unsigned seed) { return random_data(n, kMaxFactored / kEntries + 1, 6, 34, seed); }

TEST(Ridge, ConjugateGradientsEqualADenseSolve) {
  const Data data = many_codebooks(1600, 6);
  const EntrySums sums = sum_by_entry({data.rows, data.codes}, kEntries, 2);
  ASSERT_FALSE(sums.is_factored());
  for (const double lambda : {0.1, 30.0}) {
    const RealTables tables = solve(sums, data.b, lambda, 2);
    const MatrixD expected = dense_predictions(data, lambda);
    const double spread = (expected.rowwise() - expected.colwise().mean()).cwiseAbs().maxCoeff();
    EXPECT_LT((predictions(tables, data.codes) - expected).cwiseAbs().maxCoeff(), 1e-5 * spread) << lambda;
    EXPECT_TRUE((tables.entries.row(kEntries - 1).array() == 0).all()) << "the entry without rows";
  }
}

TEST(Ridge, ConjugateGradientsAreIndependentOfThreads) {
  const Data data = many_codebooks(2500, 7);
  const MatrixD b = data.b.leftCols(2);
  const MatrixD one = solve(sum_by_entry({data.rows, data.codes}, kEntries, 1), b, 1, 1).entries;
  for (const int n_threads : {2, 3}) {
    EXPECT_EQ(solve(sum_by_entry({data.rows, data.codes}, kEntries, n_threads), b, 1, n_threads).entries, one);
  }
}

TEST(Ridge, SeveralBlocksEqualOne) {
  for (const Data& data : {random_data(700, 5, 7, 3, 8), many_codebooks(700, 9)}) {
    const EntrySums whole = sum_by_entry({data.rows, data.codes}, kEntries, 1);
    EntrySums blocks(data.codes.cols(), kEntries, data.rows.cols());
    for (const auto& [first, count] : {std::pair{0, 1}, {1, 400}, {401, 0}, {401, 299}}) {
      blocks.add({data.rows.middleRows(first, count), data.codes.middleRows(first, count)}, 2);
    }
    EXPECT_EQ(blocks.n_rows, 700);
    EXPECT_EQ(blocks.counts, whole.counts);
    EXPECT_EQ(blocks.pairs, whole.pairs);
    EXPECT_LT((blocks.rows - whole.rows).cwiseAbs().maxCoeff(), 1e-9);
    EXPECT_LT((blocks.total - whole.total).cwiseAbs().maxCoeff(), 1e-9);
    const MatrixD b = data.b.leftCols(2);
    const MatrixD expected = predictions(solve(whole, b, 1), data.codes);
    EXPECT_LT((predictions(solve(blocks, b, 1), data.codes) - expected).cwiseAbs().maxCoeff(), 1e-6);
  }
}

double chosen_lambda(double signal, double noise, int n_outputs) {
  // Column 0 follows the codes, the others are noise.
  Data data = random_data(400, 24, 6, n_outputs, 4);
  data.rows.rightCols(5) *= static_cast<float>(noise);
  data.rows.col(0) = (data.codes.cast<float>().rowwise().sum() * static_cast<float>(signal)).eval();
  Progress progress({}, 100);
  const EntrySums sums = sum_by_entry({data.rows.topRows(300), data.codes.topRows(300)}, kEntries, 1);
  return choose_lambda(sums, data.b, {data.rows.bottomRows(100), data.codes.bottomRows(100)}, 1, progress).lambda;
}

TEST(Ridge, LambdaFollowsTheNoise) {
  for (const int n_outputs : {3, 100}) {  // 100: chosen on a sketch of the outputs
    EXPECT_LE(chosen_lambda(1, 0, n_outputs), 0.01) << n_outputs << " outputs";
    EXPECT_GE(chosen_lambda(0, 1, n_outputs), 100) << n_outputs << " outputs";
  }
}

TEST(Quantize, EntriesAndSumsStayWithinHalfAStep) {
  const Data data = random_data(300, 6, 5, 9, 5);
  const RealTables tables = solve(sum_by_entry({data.rows, data.codes}, kEntries, 1), data.b, 1);
  std::vector<float> bias(9);
  for (int m = 0; m < 9; ++m) bias[m] = static_cast<float>(m) - 3.5f;
  const QuantizedLut quantized = quantize_lut(tables, bias, 255);

  const MatrixD exact = predictions(tables, data.codes);
  for (int m = 0; m < 9; ++m) {
    const double scale = quantized.scale[m];
    double minima = 0;
    double widest = 0;
    for (int c = 0; c < 6; ++c) {
      const auto entries = tables.entries.col(m).segment(c * kEntries, kEntries);
      minima += entries.minCoeff();
      for (int k = 0; k < kEntries; ++k) {
        const int stored = quantized.lut[(c * kEntries + k) * 9 + m];
        EXPECT_NEAR(stored * scale + entries.minCoeff(), entries[k], scale * 0.5001) << c << " " << k << " " << m;
        widest = std::max<double>(widest, stored);
      }
    }
    EXPECT_EQ(widest, 255) << "output " << m << " uses the whole byte";
    EXPECT_NEAR(quantized.offset[m], tables.mean[m] + bias[m] + minima, 1e-5);
    for (int i = 0; i < 300; ++i) {
      double sum = quantized.offset[m];
      for (int c = 0; c < 6; ++c) sum += scale * quantized.lut[(c * kEntries + data.codes(i, c)) * 9 + m];
      EXPECT_NEAR(sum, exact(i, m) + bias[m], 6 * scale * 0.5001) << "row " << i << " output " << m;
    }
  }
}

// The squared error of a table over the rows, by definition.
double table_error(const QuantizedLut& table, const Codes& codes, const MatrixD& exact) {
  double error = 0;
  for (int i = 0; i < codes.rows(); ++i) {
    for (int m = 0; m < exact.cols(); ++m) {
      double sum = table.offset[m];
      for (int c = 0; c < codes.cols(); ++c) {
        sum += static_cast<double>(table.scale[m]) * table.lut[(c * kEntries + codes(i, c)) * exact.cols() + m];
      }
      error += (sum - exact(i, m)) * (sum - exact(i, m));
    }
  }
  return error;
}

TEST(Quantize, EntriesAreAsSmallAsTheToleranceAllows) {
  const Data data = random_data(300, 6, 5, 9, 5);
  const RealTables tables = solve(sum_by_entry({data.rows, data.codes}, kEntries, 1), data.b, 1);
  const RoundingRows rows{data.codes, data.rows.cast<double>() * data.b};
  const double error = squared_error(tables, rows.codes, rows.exact);
  for (const int max_entry : {63, 127}) {
    const double rise = table_error(quantize_lut(tables, {}, max_entry), rows.codes, rows.exact) / error - 1;
    const ChosenEntries just_enough = choose_entries(tables, rows, rise * (rise > 0 ? 1.001 : 0.999));
    EXPECT_LE(just_enough.max_entry, max_entry);
    if (just_enough.max_entry == max_entry) {
      EXPECT_NEAR(just_enough.rise, rise, 1e-6);
    }
    EXPECT_GT(choose_entries(tables, rows, rise * (rise > 0 ? 0.999 : 1.001)).max_entry, max_entry);
  }
  // Exact outputs leave no room at all.
  EXPECT_EQ(choose_entries(tables, {data.codes, predictions(tables, data.codes)}, 0.01).max_entry, 255);
}

RealTables constant_entries(double mean, double entry) {
  return {Eigen::RowVectorXd::Constant(1, mean), MatrixD::Constant(2 * kEntries, 1, entry), kEntries};
}

TEST(Quantize, ConstantOutputIsAllZeros) {
  for (const double entry : {0.0, 0.25}) {
    const QuantizedLut quantized = quantize_lut(constant_entries(3, entry), {}, 255);
    EXPECT_EQ(quantized.scale, std::vector<float>{1});
    EXPECT_EQ(quantized.offset, std::vector<float>{static_cast<float>(3 + 2 * entry)});
    EXPECT_EQ(quantized.lut, std::vector<uint8_t>(2 * kEntries, 0));
  }
}

TEST(Quantize, RangesBelowFloat32AreConstant) {
  RealTables tables = constant_entries(0, 0);
  tables.entries(0, 0) = 1e-44;
  const QuantizedLut quantized = quantize_lut(tables, {}, 255);
  EXPECT_EQ(quantized.scale, std::vector<float>{1});
  EXPECT_EQ(quantized.lut, std::vector<uint8_t>(2 * kEntries, 0));
}

TEST(Quantize, OutputsBeyondFloat32AreRefused) {
  RealTables tables = constant_entries(0, 0);
  tables.entries(1, 0) = 1e39;
  try {
    quantize_lut(tables, {}, 255);
    FAIL() << "accepted";
  } catch (const InvalidArgument& error) {
    EXPECT_NE(std::string(error.what()).find("output 0 can reach"), std::string::npos) << error.what();
  }
}

TEST(Evaluate, ErrorsWithoutVarianceAreFinite) {
  EXPECT_EQ(normalised_error(2, 8, 100), 0.25);
  EXPECT_EQ(normalised_error(0, 0, 0), 0);
  EXPECT_EQ(normalised_error(1, 0, 0), 1);
  EXPECT_EQ(normalised_error(1, 0, 3), 0.25);
  EXPECT_EQ(normalised_error(1, 1e-20, 3), 0.25) << "a variance of rounding errors is none";
}

TEST(ParallelFor, RunsEveryItemOnceAndPassesTheFirstFailureOn) {
  for (const int n_threads : {1, 2, 3, 8}) {
    std::vector<std::atomic<int>> runs(100);
    parallel_for(100, n_threads, [&](int64_t i) { ++runs[i]; });
    for (const auto& count : runs) EXPECT_EQ(count, 1);

    const auto failing = [](int64_t i) {
      if (i >= 5) throw std::runtime_error("item failed");
    };
    EXPECT_THROW(parallel_for(100, n_threads, failing), std::runtime_error);
  }
  parallel_for(0, 4, [](int64_t) { FAIL(); });
}

}  // namespace
}  // namespace mithral::train_internal
