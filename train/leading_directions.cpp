#include "train/leading_directions.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <limits>

#include "train/random.h"

namespace mithral::train_internal {
namespace {

constexpr int64_t kRowsOfSample = 2048;
constexpr int64_t kOversampling = 16;
constexpr int kIterations = 2;
constexpr double kLeastVariance = 1e-12;  // of the largest; rounding errors of their products are some 1e-15 of it

using Eigenvectors = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>;  // with values in ascending order

Eigenvectors eigenvectors_of_products(const Eigen::MatrixXd& columns) {
  const Eigen::MatrixXd products = columns.transpose() * columns;
  return Eigenvectors(products);
}

// An orthonormal basis of the columns but for those that are all but combinations of others; one column at least. It is
// made of the columns' products among each other: Householder's reflections take long to compile.
Eigen::MatrixXd orthonormal(const Eigen::MatrixXd& columns) {
  const Eigenvectors eigen = eigenvectors_of_products(columns);
  const double least = kLeastVariance * eigen.eigenvalues().tail<1>()[0];
  const int64_t rank = std::max<int64_t>((eigen.eigenvalues().array() > least).count(), 1);
  const Eigen::VectorXd lengths =
      eigen.eigenvalues().tail(rank).cwiseMax(std::numeric_limits<double>::min()).cwiseSqrt();
  const Eigen::MatrixXd combinations = eigen.eigenvectors().rightCols(rank) * lengths.cwiseInverse().asDiagonal();
  return columns * combinations;
}

}  // namespace

MatrixD leading_directions(const RowsF& rows, const Eigen::RowVectorXd& mean, const MatrixD& b, int64_t count) {
  if (b.cols() <= count) return b;
  const int64_t n = std::min(rows.rows(), kRowsOfSample);
  const int64_t size = std::min(count + kOversampling, b.cols());
  const MatrixD sample = rows.topRows(n).cast<double>().rowwise() - mean;

  Eigen::MatrixXd basis = orthonormal(random_signs(b.cols(), size));
  for (int i = 0; i < kIterations; ++i) {
    const Eigen::MatrixXd outputs = sample * (b * basis);
    basis = orthonormal(b.transpose() * (sample.transpose() * outputs));
  }
  const Eigen::MatrixXd outputs = sample * (b * basis);
  const Eigen::MatrixXd leading =
      eigenvectors_of_products(outputs).eigenvectors().rightCols(std::min(count, basis.cols()));
  return b * (basis * leading);
}

}  // namespace mithral::train_internal
