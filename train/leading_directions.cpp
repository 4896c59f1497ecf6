#include "train/leading_directions.h"

#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <algorithm>

#include "train/random.h"

namespace mithral::train_internal {
namespace {

constexpr int64_t kRowsOfSample = 2048;
constexpr int64_t kOversampling = 16;
constexpr int kIterations = 2;

Eigen::MatrixXd orthonormal(const Eigen::MatrixXd& columns) {
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(columns);
  return qr.householderQ() * Eigen::MatrixXd::Identity(columns.rows(), columns.cols());
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
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(outputs.transpose() * outputs);  // ascending
  return b * (basis * eigen.eigenvectors().rightCols(count));
}

}  // namespace mithral::train_internal
