#include "train/trees/search_space.h"

#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>

#include "train/parallel_for.h"
#include "train/random.h"

namespace mithral::train_internal {
namespace {

constexpr int64_t kSampleRows = 2048;
constexpr int64_t kOversampling = 16;
constexpr int kIterations = 2;
constexpr int64_t kProjectedRows = 1024;

Eigen::MatrixXd orthonormal(const Eigen::MatrixXd& columns) {
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(columns);
  return qr.householderQ() * Eigen::MatrixXd::Identity(columns.rows(), columns.cols());
}

MatrixD leading_directions(const RowsF& rows, const Eigen::RowVectorXd& mean, const MatrixD& b) {
  if (b.cols() <= kMaxSearchOutputs) return b;
  const int64_t n = std::min(rows.rows(), kSampleRows);
  const int64_t size = std::min(kMaxSearchOutputs + kOversampling, b.cols());
  const MatrixD sample = rows.topRows(n).cast<double>().rowwise() - mean;

  Eigen::MatrixXd basis = orthonormal(random_signs(b.cols(), size));
  for (int i = 0; i < kIterations; ++i) {
    const Eigen::MatrixXd outputs = sample * (b * basis);
    basis = orthonormal(b.transpose() * (sample.transpose() * outputs));
  }
  const Eigen::MatrixXd outputs = sample * (b * basis);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(outputs.transpose() * outputs);  // ascending
  return b * (basis * eigen.eigenvectors().rightCols(kMaxSearchOutputs));
}

}  // namespace

MatrixF SearchSpace::outputs(const RowsF& rows, int64_t n_threads) const {
  MatrixF result(rows.rows(), weights.cols());
  parallel_for((rows.rows() + kProjectedRows - 1) / kProjectedRows, n_threads, [&](int64_t block) {
    const int64_t first = block * kProjectedRows;
    const int64_t count = std::min(kProjectedRows, rows.rows() - first);
    const MatrixD centred = rows.middleRows(first, count).cast<double>().rowwise() - mean;
    result.middleRows(first, count) = (centred * weights).cast<float>();
  });
  return result;
}

SearchSpace find_search_space(const RowsF& rows, const MatrixD& b, int64_t n_threads) {
  SearchSpace space{rows.cast<double>().colwise().mean(), {}};
  // Finite floats may sum to more than a float holds: a first bound on the outputs, then their true size.
  const Eigen::RowVectorXd reach = (rows.cast<double>().rowwise() - space.mean).cwiseAbs().colwise().maxCoeff();
  const auto scale_down = [&space](double largest) {
    int exponent = 0;
    std::frexp(largest, &exponent);
    space.weights *= std::ldexp(1.0, -exponent);
  };
  space.weights = b;
  scale_down((reach * b.cwiseAbs()).maxCoeff());
  space.weights = leading_directions(rows, space.mean, space.weights);
  scale_down(space.outputs(rows, n_threads).cwiseAbs().maxCoeff());
  return space;
}

}  // namespace mithral::train_internal
