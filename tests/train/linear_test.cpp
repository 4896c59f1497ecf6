// Linear dims: which columns are selected, how they are quantised, and the weights of quantised columns.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "tests/support/random_matrix.h"
#include "train/linear/fit_linear.h"
#include "train/linear/moments.h"
#include "train/linear/quantise_dims.h"
#include "train/linear/select_dims.h"
#include "train/quantize_parts.h"

namespace mithral::train_internal {
namespace {

using testing::random_matrix;

constexpr int64_t kFeatures = 40;

// --- select_dims

TEST(SelectDims, TakesWhatTheOutputsDependOn) {
  const MatrixF rows = random_matrix<MatrixF>(500, kFeatures, 1);
  MatrixD b = MatrixD::Zero(kFeatures, 3);
  b.row(7).setConstant(3);
  b.row(21).setConstant(-2);
  b.row(39).setConstant(1);
  EXPECT_EQ(select_dims(rows, b, 2, SelectBy::kColumn, 1), (std::vector<int32_t>{7, 21}));
  EXPECT_EQ(select_dims(rows, b, 3, SelectBy::kColumn, 2), (std::vector<int32_t>{7, 21, 39}));
}

TEST(SelectDims, TakesNoColumnForWhatAnotherSays) {
  MatrixF rows = random_matrix<MatrixF>(500, kFeatures, 2);
  rows.col(1) = 2 * rows.col(0);  // nothing is left of either once the other is taken
  MatrixD b = MatrixD::Zero(kFeatures, 1);
  b(0, 0) = b(1, 0) = 5;
  b(30, 0) = 0.1;
  const std::vector<int32_t> dims = select_dims(rows, b, 2, SelectBy::kColumn, 1);
  ASSERT_EQ(dims.size(), 2u);
  EXPECT_LE(dims[0], 1);
  EXPECT_EQ(dims[1], 30);
  EXPECT_EQ(select_dims(rows, b, kFeatures, SelectBy::kColumn, 1).size(), size_t{kFeatures - 1});
}

// The best one alone is none of the best two: column 5 is the sum of columns 2 and 30, and a little noise.
TEST(SelectDims, ReplacesWhatALaterColumnMakesSuperfluous) {
  MatrixF rows = random_matrix<MatrixF>(500, kFeatures, 5);
  rows.col(5) = rows.col(2) + rows.col(30) + 0.3f * rows.col(5);
  MatrixD b = MatrixD::Zero(kFeatures, 1);
  b(2, 0) = 1, b(30, 0) = 0.9;
  EXPECT_EQ(select_dims(rows, b, 1, SelectBy::kColumn, 1), (std::vector<int32_t>{5}));
  EXPECT_EQ(select_dims(rows, b, 2, SelectBy::kColumn, 1), (std::vector<int32_t>{2, 30}));
}

TEST(SelectDims, ByLinesTakesWholeLines) {
  const MatrixF rows = random_matrix<MatrixF>(500, kFeatures, 3);
  MatrixD b = MatrixD::Zero(kFeatures, 1);
  b(20, 0) = 1;
  std::vector<int32_t> second_line(16);
  std::iota(second_line.begin(), second_line.end(), 12);  // large arrays of NumPy's begin 16 bytes into a line
  EXPECT_EQ(select_dims(rows, b, 16, SelectBy::kLine, 1), second_line);

  std::vector<int32_t> in_order(kFeatures);
  std::iota(in_order.begin(), in_order.end(), 0);
  std::vector<int32_t> all = select_dims(rows, b, kFeatures, SelectBy::kLine, 1);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, in_order) << "the first line and the last one are short";
}

TEST(SelectDims, WholeLinesComeFirst) {
  const MatrixF rows = random_matrix<MatrixF>(500, kFeatures, 3);
  MatrixD b = MatrixD::Zero(kFeatures, 1);
  b(3, 0) = 2, b(20, 0) = 1;
  std::vector<int32_t> expected(28);
  std::iota(expected.begin(), expected.begin() + 16, 12);
  std::iota(expected.begin() + 16, expected.end(), 0);
  EXPECT_EQ(select_dims(rows, b, 28, SelectBy::kLine, 1), expected);
}

TEST(SelectDims, OfALineThatIsReadConstantColumnsAreKept) {
  MatrixF rows = random_matrix<MatrixF>(500, kFeatures, 3);
  rows.col(14).setConstant(2);
  MatrixD b = MatrixD::Zero(kFeatures, 1);
  b(20, 0) = 1;
  const std::vector<int32_t> line = select_dims(rows, b, 16, SelectBy::kLine, 1);
  EXPECT_EQ(line.size(), 16u);
  const DimSteps steps = choose_steps(rows, line, Constants::kKept);
  EXPECT_EQ(steps.dims, line);
  EXPECT_EQ(steps.inverse_step[2], 0);
  EXPECT_EQ(choose_steps(rows, line).dims.size(), 15u);
  EXPECT_TRUE(choose_steps(rows, {14}, Constants::kKept).dims.empty());
}

TEST(SelectDims, ManyColumnsAreNarrowedDown) {
  MatrixF rows = random_matrix<MatrixF>(200, 3 * kMaxSelectable, 4);
  MatrixD b = MatrixD::Constant(rows.cols(), 1, 1e-6);
  b(3000, 0) = 1;
  EXPECT_EQ(select_dims(rows, b, 1, SelectBy::kColumn, 1), (std::vector<int32_t>{3000}));
  EXPECT_EQ(select_dims(rows, b, 1, SelectBy::kColumn, 1), select_dims(rows, b, 1, SelectBy::kColumn, 4));
}

// --- choose_steps

TEST(ChooseSteps, SpanTheValues) {
  MatrixF rows(1000, 2);
  for (int i = 0; i < 1000; ++i) rows.row(i) << static_cast<float>(i), 4;
  const DimSteps steps = choose_steps(rows, {0, 1});
  ASSERT_EQ(steps.dims, (std::vector<int32_t>{0})) << "a constant column is left out";
  const auto quantised = [](const DimSteps& s, float x) { return int{quantise(x, s.inverse_step[0], s.zero[0])}; };
  EXPECT_NEAR(quantised(steps, 0), 3, 1) << "new rows may go beyond the ends";
  EXPECT_NEAR(quantised(steps, 999), 124, 1);
  for (int i = 0; i < 10; ++i) rows(i, 0) = 0;  // several rows have the least value: it is a bound
  const DimSteps bounded = choose_steps(rows, {0});
  EXPECT_EQ(quantised(bounded, 0), 0);
  EXPECT_NEAR(quantised(bounded, 999), 124, 1);
}

TEST(ChooseSteps, CutOffTailsThatCostMoreThanTheySave) {
  const MatrixF rows = random_matrix<MatrixF>(10000, 1, 12);
  const float span = rows.maxCoeff() - rows.minCoeff();
  EXPECT_GT(choose_steps(rows, {0}).inverse_step[0], 127 / span);
}

TEST(Quantise, RoundsHalvesToEvenAndNaNToZero) {
  EXPECT_EQ(quantise(2.5f, 1, 0), 2);
  EXPECT_EQ(quantise(3.5f, 1, 0), 4);
  EXPECT_EQ(quantise(-1, 1, 0), 0);
  EXPECT_EQ(quantise(1e30f, 1, 0), 127);
  EXPECT_EQ(quantise(std::numeric_limits<float>::quiet_NaN(), 1, 0), 0);
  EXPECT_EQ(quantise(std::numeric_limits<float>::infinity(), 0, 5), 0) << "0 times infinity is not a number";
}

// --- weights

TEST(LinearRegression, FindsTheWeightsOfTheOutputs) {
  const MatrixF rows = random_matrix<MatrixF>(4000, 6, 5);
  const MatrixD b = random_matrix<MatrixD>(6, 4, 6);
  const DimSteps steps = choose_steps(rows, {0, 1, 2, 3, 4, 5});
  const LinearRegression regression(steps, rows, 1);
  const RealLinear linear = regression.with_weights(regression.solve(b, 1e-9));
  for (int64_t s = 0; s < 6; ++s) {
    EXPECT_LT((linear.weights.row(s) * steps.inverse_step[s] - b.row(s)).norm(), 0.02 * b.row(s).norm());
  }
  EXPECT_LT(without_linear(b, linear).norm(), 0.02 * b.norm());
  const double variance = ((rows.cast<double>().rowwise() - means(rows)) * b).squaredNorm();
  EXPECT_LT(outputs_left(linear, rows, means(rows), b).squaredNorm(), 2e-3 * variance);
}

TEST(LinearRegression, IsOfWhatTablesLeave) {
  const MatrixF rows = random_matrix<MatrixF>(20000, 4, 7);
  const MatrixD b = random_matrix<MatrixD>(4, 3, 8);
  Codes codes(rows.rows(), 1);
  for (int64_t i = 0; i < rows.rows(); ++i) codes(i, 0) = rows(i, 3) > 0;
  const DimSteps steps = choose_steps(rows, {0, 1, 2});
  const LinearRegression regression(steps, rows, 1);
  const RealTables none{Eigen::RowVectorXd::Zero(3), MatrixD::Zero(2, 3), 2};
  EXPECT_TRUE(regression.solve(b, 1e-6, none, codes).isApprox(regression.solve(b, 1e-6), 1e-9));
  // Tables that say more where the last column is positive leave nothing less of the others.
  MatrixD entries(2, 3);
  entries << -1, -1, -1, 1, 1, 1;
  const MatrixD with = regression.solve(b, 1e-6, {none.mean, entries, 2}, codes);
  EXPECT_TRUE(with.isApprox(regression.solve(b, 1e-6), 0.1)) << "columns are independent";
  for (int64_t i = 0; i < rows.rows(); ++i) codes(i, 0) = rows(i, 0) > 0;
  const MatrixD less = regression.solve(b, 1e-6, {none.mean, entries, 2}, codes) - regression.solve(b, 1e-6);
  EXPECT_LT(less.row(0).maxCoeff(), -0.5 / steps.inverse_step[0]) << "tables took part of the first dim's";
}

// --- quantize_parts

TEST(QuantizeParts, EveryPartIsWithinHalfAStep) {
  const MatrixF rows = random_matrix<MatrixF>(300, 5, 9);
  const DimSteps steps = choose_steps(rows, {0, 1, 2, 3, 4});
  const LinearRegression regression(steps, rows, 1);
  const RealLinear linear = regression.with_weights(random_matrix<MatrixD>(5, 4, 10));
  const RealTables tables{Eigen::RowVectorXd::Zero(4), 100 * random_matrix<MatrixD>(2 * 16, 4, 11), 16};
  for (const int max_weight : {63, 127}) {
    const QuantizedParts parts = quantize_parts(tables, linear, {}, 255, max_weight);
    for (int64_t m = 0; m < 4; ++m) {
      const double scale = parts.lut.scale[m];
      for (int64_t s = 0; s < 5; ++s) {
        EXPECT_LE(std::abs(parts.weights[s * 4 + m]), max_weight);
        EXPECT_NEAR(parts.weights[s * 4 + m] * scale, linear.weights(s, m), 0.501 * scale);
      }
      for (int64_t c = 0; c < 2; ++c) {
        const double least = tables.entries.middleRows(16 * c, 16).col(m).minCoeff(),
                     step = std::ldexp(scale, parts.shift);
        for (int64_t k = 0; k < 16; ++k) {
          EXPECT_NEAR(parts.lut.lut[(16 * c + k) * 4 + m] * step, tables.entries(16 * c + k, m) - least, 0.501 * step);
        }
      }
    }
    EXPECT_GT(parts.shift, 0) << "the tables' steps are wider here than the weights'";
  }
}

}  // namespace
}  // namespace mithral::train_internal
