// Tables for codes that no tree made, up to the bytes: from rows and an encoder of any kind, with K no power of two.
#include "train/fit_tables.h"
#include "train/class_probabilities.h"

#include <gtest/gtest.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/random_matrix.h"

namespace mithral::train_internal {
namespace {

using testing::random_matrix;

constexpr int64_t kFeatures = 16;
constexpr int64_t kCodebooks = 6;
constexpr int64_t kOutputs = 10;

// One codebook for each of the first columns: which K-th of the range from -2 to 2 a value lies in.
LearnedEncoder grid_encoder(int64_t n_entries, const RowsF& rows, double lambda) {
  const auto encode = [n_entries](const RowsF& some) {
    const Eigen::ArrayXXf steps = (some.leftCols(kCodebooks).array() + 2) / 4 * static_cast<float>(n_entries);
    return Codes(steps.floor().max(0).min(static_cast<float>(n_entries - 1)).cast<uint8_t>());
  };
  return {.encode = encode, .n_entries = n_entries, .rows = rows, .lambda = lambda};
}

// Mixes of a few hidden values: columns that no codebook sees follow from those that some do, but not linearly.
MatrixF mixed_rows(int64_t n, unsigned seed) {
  const MatrixF mix = random_matrix<MatrixF>(4, kFeatures, 1);
  return (random_matrix<MatrixF>(n, 4, seed) * mix).array().cwiseMax(-0.3f);
}

MatrixD random_weights() { return random_matrix<MatrixD>(kFeatures, kOutputs, 2); }

const std::vector<float> kBias = {1, -2, 30, 0, 0.5f, 7, -7, 100, 1e-3f, 4};

MatrixD exact_outputs(const RowsF& rows, const MatrixD& b) {
  return (rows.cast<double>() * b).rowwise() +
         Eigen::Map<const Eigen::RowVectorXf>(kBias.data(), kOutputs).cast<double>();
}

// Predictions of ordinary least squares on one-hot columns: these are linearly dependent, the predictions are unique,
// and a penalty this small makes the weights so. (Eigen's SVD gives them without, and takes half a minute to compile.)
MatrixD least_squares(const Codes& codes, int64_t n_entries, const MatrixD& exact) {
  Eigen::MatrixXd columns = Eigen::MatrixXd::Zero(codes.rows(), codes.cols() * n_entries);
  for (int64_t i = 0; i < codes.rows(); ++i) {
    for (int64_t c = 0; c < codes.cols(); ++c) columns(i, c * n_entries + codes(i, c)) = 1;
  }
  const Eigen::MatrixXd penalty = 1e-7 * Eigen::MatrixXd::Identity(columns.cols(), columns.cols());
  return columns * (columns.transpose() * columns + penalty).llt().solve(columns.transpose() * exact);
}

MatrixD dequantized(const QuantizedLut& lut, const Codes& codes, int64_t n_entries) {
  MatrixD outputs(codes.rows(), kOutputs);
  for (int64_t i = 0; i < codes.rows(); ++i) {
    for (int64_t m = 0; m < kOutputs; ++m) {
      int64_t sum = 0;
      for (int64_t c = 0; c < codes.cols(); ++c) sum += lut.lut[(c * n_entries + codes(i, c)) * kOutputs + m];
      outputs(i, m) = static_cast<double>(sum) * lut.scale[m] + lut.offset[m];
    }
  }
  return outputs;
}

TEST(FitTables, ThoseOfAnyCodesAreTheLeastSquares) {
  const MatrixD b = random_weights();
  const MatrixF rows = mixed_rows(1200, 1);
  const Samples samples(row_major<const float>(rows.data(), rows.rows(), kFeatures), 0);
  const TableProblem problem{.samples = samples, .b = b, .bias = kBias, .n_threads = 2};
  for (const int64_t n_entries : {2, 3, 10, 50}) {
    SCOPED_TRACE(::testing::Message() << "K " << n_entries);
    const LearnedEncoder encoder = grid_encoder(n_entries, samples.training(), 1e-6);
    Progress progress({}, 1);
    const RealTables tables = fit_tables(encoder, problem, progress);
    const QuantizedLut lut = quantize_lut(tables, kBias, 255);
    ASSERT_EQ(lut.lut.size(), static_cast<size_t>(kCodebooks * n_entries * kOutputs));

    const Codes codes = encoder.encode(samples.training());
    const MatrixD expected = least_squares(codes, n_entries, exact_outputs(samples.training(), b));
    const MatrixD off = dequantized(lut, codes, n_entries) - expected;
    for (int64_t m = 0; m < kOutputs; ++m) {
      const double step = lut.scale[m];
      EXPECT_LT(off.col(m).cwiseAbs().maxCoeff(), kCodebooks * 0.51 * step) << "output " << m;
    }
  }
}

double agreement(const RealTables& tables, const Codes& codes, const MatrixD& exact) {
  int64_t agreeing = 0;
  for (int64_t i = 0; i < codes.rows(); ++i) {
    Eigen::RowVectorXd row = tables.mean;
    for (int64_t c = 0; c < codes.cols(); ++c) row += tables.entries.row(c * tables.n_entries + codes(i, c));
    agreeing += argmax(row) == argmax(exact.row(i)) ? 1 : 0;
  }
  return static_cast<double>(agreeing) / static_cast<double>(codes.rows());
}

TEST(FitTables, ClassesAreFittedToAnyCodes) {
  const MatrixD b = random_weights();
  const MatrixF rows = mixed_rows(12'000, 3);
  const MatrixF fresh = mixed_rows(20'000, 4);
  const Samples samples(row_major<const float>(rows.data(), rows.rows(), kFeatures), 0);
  const TableProblem problem{.samples = samples, .b = b, .bias = {}, .n_threads = 2};
  Progress progress({}, 1);
  const LearnedEncoder tried = grid_encoder(10, samples.fit(), 1), encoder = grid_encoder(10, samples.training(), 1);
  const ClassFit class_fit = choose_class_fit(
      {fit_tables_to_learned(tried, problem), {}}, {tried.rows, tried.encode(tried.rows)},
      {samples.validation(), tried.encode(samples.validation())}, samples.validation().rows(), b, {}, 2, progress);
  EXPECT_GT(class_fit.n_steps, 0);

  const RealTables tables = fit_tables(encoder, problem, progress);
  const ClassParts fitted = fit_class_probabilities({tables, {}}, {encoder.rows, encoder.encode(encoder.rows)},
                                                    class_fit, b, {}, 2, progress);
  const Codes codes = encoder.encode(fresh);
  const MatrixD exact = fresh.cast<double>() * b;
  EXPECT_GT(agreement(fitted.tables, codes, exact), agreement(tables, codes, exact) + 0.01);
}

}  // namespace
}  // namespace mithral::train_internal
