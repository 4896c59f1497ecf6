#include "train/linear/select_dims.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <numeric>

#include "train/linear/moments.h"
#include "train/ridge.h"

namespace mithral::train_internal {
namespace {

constexpr int64_t kEnoughRows = 8192;    // moments of more would not choose other columns
constexpr double kSpentVariance = 1e-7;  // share of its own that is left of a column which the others explain
constexpr int64_t kLineFloats = 16;

// Columns that are selected together.
using Group = std::vector<int64_t>;

// The columns that the outputs depend on most, at most kMaxSelectable, in whole groups; ascending.
std::vector<int32_t> candidates(const MatrixF& centred, const MatrixD& b, int64_t group_size) {
  const int64_t n_columns = centred.cols();
  Eigen::VectorXd weight = centred.colwise().squaredNorm().cast<double>().transpose();
  weight.array() *= b.rowwise().squaredNorm().array();
  std::vector<int64_t> groups((n_columns + group_size - 1) / group_size);
  std::iota(groups.begin(), groups.end(), 0);
  const auto weight_of = [&](int64_t group) {
    return weight.segment(group * group_size, std::min(group_size, n_columns - group * group_size)).sum();
  };
  std::stable_sort(groups.begin(), groups.end(), [&](int64_t x, int64_t y) { return weight_of(x) > weight_of(y); });
  groups.resize(std::min<size_t>(groups.size(), kMaxSelectable / group_size));
  std::vector<int32_t> columns;
  for (const int64_t group : groups) {
    for (int64_t j = group * group_size; j < std::min((group + 1) * group_size, n_columns); ++j) {
      columns.push_back(static_cast<int32_t>(j));
    }
  }
  std::sort(columns.begin(), columns.end());
  return columns;
}

// Moments of the columns that are left, with each other and with the outputs, less what selected columns explain.
class Residual {
 public:
  Residual(MatrixD columns, MatrixD outputs)
      : columns_(std::move(columns)), outputs_(std::move(outputs)), spent_(kSpentVariance * columns_.diagonal()) {}

  bool is_spent(int64_t column) const { return !(columns_(column, column) > spent_[column]); }

  // How much of the outputs a group explains.
  double gain(const Group& group) const {
    if (group.size() == 1) return outputs_.row(group[0]).squaredNorm() / columns_(group[0], group[0]);
    const MatrixD outputs = rows_of(outputs_, group);
    return outputs.cwiseProduct(factor(group).solve(outputs)).sum();
  }

  void take_out(const Group& group) {
    const MatrixD columns = rows_of(columns_, group), outputs = rows_of(outputs_, group);
    const Eigen::LLT<Eigen::MatrixXd> of_group = factor(group);
    const MatrixD solved_columns = of_group.solve(columns), solved_outputs = of_group.solve(outputs);
    outputs_.noalias() -= columns.transpose() * solved_outputs;
    columns_.noalias() -= columns.transpose() * solved_columns;
  }

 private:
  static MatrixD rows_of(const MatrixD& from, const Group& group) {
    MatrixD rows(static_cast<int64_t>(group.size()), from.cols());
    for (size_t i = 0; i < group.size(); ++i) rows.row(static_cast<int64_t>(i)) = from.row(group[i]);
    return rows;
  }

  // Of the group's own moments; what is spent of each column keeps them positive definite.
  Eigen::LLT<Eigen::MatrixXd> factor(const Group& group) const {
    const auto size = static_cast<int64_t>(group.size());
    Eigen::MatrixXd moments(size, size);
    for (int64_t i = 0; i < size; ++i) {
      for (int64_t j = 0; j < size; ++j) moments(i, j) = columns_(group[i], group[j]);
      moments(i, i) += group.size() > 1 ? spent_[group[i]] : 0;
    }
    return Eigen::LLT<Eigen::MatrixXd>(moments);
  }

  MatrixD columns_;  // (P, P)
  MatrixD outputs_;  // (P, M)
  Eigen::VectorXd spent_;
};

std::vector<Group> groups_of(const std::vector<int32_t>& columns, SelectBy by) {
  std::vector<Group> groups;
  for (int64_t i = 0; i < std::ssize(columns); ++i) {
    const bool same_line = by == SelectBy::kLine && i > 0 && columns[i] / kLineFloats == columns[i - 1] / kLineFloats;
    if (!same_line) groups.emplace_back();
    groups.back().push_back(i);
  }
  return groups;
}

}  // namespace

std::vector<int32_t> select_dims(const RowsF& rows, const MatrixD& b, int64_t count, SelectBy by, int64_t n_threads) {
  const MatrixF centred = centre(rows.topRows(std::min<int64_t>(rows.rows(), kEnoughRows)));
  const MatrixD sketch = sketch_outputs(b);
  const std::vector<int32_t> columns = candidates(centred, b, by == SelectBy::kLine ? kLineFloats : 1);
  const MatrixF left = columns_of(centred, columns);
  const MatrixF outputs = (centred.cast<double>() * sketch).cast<float>();
  Residual residual(products(left, left, n_threads), products(left, outputs, n_threads));

  std::vector<Group> groups = groups_of(columns, by);
  std::vector<int32_t> selected;
  while (std::ssize(selected) < count) {
    for (Group& group : groups) std::erase_if(group, [&](int64_t i) { return residual.is_spent(i); });
    std::erase_if(groups, [](const Group& group) { return group.empty(); });
    if (groups.empty()) break;
    size_t best = 0;
    double most = -1;
    for (size_t i = 0; i < groups.size(); ++i) {
      const double gain = residual.gain(groups[i]);
      if (gain > most) most = gain, best = i;
    }
    const Group group = groups[best];
    residual.take_out(group);
    for (const int64_t i : group) {
      if (std::ssize(selected) < count) selected.push_back(columns[i]);
    }
    groups.erase(groups.begin() + static_cast<int64_t>(best));
  }
  std::sort(selected.begin(), selected.end());
  return selected;
}

}  // namespace mithral::train_internal
