#include "train/linear/select_dims.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <limits>
#include <numeric>

#include "train/cache_lines.h"
#include "train/linear/moments.h"
#include "train/ridge.h"

namespace mithral::train_internal {
namespace {

constexpr int64_t kEnoughRows = 8192;    // moments of more would not choose other columns
constexpr double kSpentVariance = 1e-7;  // share of its own that is left of a column which the others explain

// Columns that are selected together.
using Group = std::vector<int64_t>;

// Columns by what is selected at once, in order.
std::vector<Group> groups_of(const std::vector<int32_t>& columns, SelectBy by) {
  std::vector<Group> groups;
  for (int64_t i = 0; i < std::ssize(columns); ++i) {
    const bool same_line = by == SelectBy::kLine && i > 0 && line_of(columns[i]) == line_of(columns[i - 1]);
    if (!same_line) groups.emplace_back();
    groups.back().push_back(i);
  }
  return groups;
}

// The columns that the outputs depend on most, `count` or a few more, in whole groups; ascending.
std::vector<int32_t> candidates(const MatrixF& centred, const MatrixD& b, int64_t count, SelectBy by) {
  Eigen::VectorXd weight = centred.cast<double>().colwise().squaredNorm().transpose();
  weight.array() *= b.rowwise().squaredNorm().array();
  std::vector<int32_t> columns(centred.cols());
  std::iota(columns.begin(), columns.end(), 0);
  std::vector<Group> groups = groups_of(columns, by);
  const auto weight_of = [&](const Group& group) {
    double sum = 0;
    for (const int64_t column : group) sum += weight[column];
    return sum;
  };
  std::stable_sort(groups.begin(), groups.end(),
                   [&](const Group& x, const Group& y) { return weight_of(x) > weight_of(y); });
  columns.clear();
  for (const Group& group : groups) {
    if (std::ssize(columns) >= count) break;
    columns.insert(columns.end(), group.begin(), group.end());
  }
  std::sort(columns.begin(), columns.end());
  return columns;
}

// Columns in the order in which rows are best quantised as they lie: whole lines of adjacent ones first.
std::vector<int32_t> whole_lines_first(const std::vector<int32_t>& ascending) {
  std::vector<int32_t> lines, rest;
  for (size_t begin = 0, end = 0; begin < ascending.size(); begin = end) {
    for (end = begin + 1; end < ascending.size() && ascending[end] == ascending[end - 1] + 1;) ++end;
    const size_t line_begin = (kFloatsOfLine - (ascending[begin] + kFirstFloat) % kFloatsOfLine) % kFloatsOfLine;
    const size_t before = (end - begin) % kFloatsOfLine == 0 ? 0 : std::min(line_begin, end - begin);
    const size_t whole = (end - begin - before) / kFloatsOfLine * kFloatsOfLine;
    const auto run = ascending.begin() + static_cast<int64_t>(begin);
    const auto first = run + static_cast<int64_t>(before), last = first + static_cast<int64_t>(whole);
    rest.insert(rest.end(), run, first);
    lines.insert(lines.end(), first, last);
    rest.insert(rest.end(), last, ascending.begin() + static_cast<int64_t>(end));
  }
  lines.insert(lines.end(), rest.begin(), rest.end());
  return lines;
}

// Moments of the columns that are left, with each other and with the outputs, less what selected columns explain.
class Residual {
 public:
  Residual(MatrixD columns, MatrixD outputs)
      : columns_(std::move(columns)), outputs_(std::move(outputs)), spent_(kSpentVariance * columns_.diagonal()) {}

  Group without_spent(const Group& group) const {
    Group left;
    for (const int64_t column : group) {
      if (columns_(column, column) > spent_[column]) left.push_back(column);
    }
    return left;
  }

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

}  // namespace

std::vector<int32_t> select_dims(const RowsF& rows, const MatrixD& b, int64_t count, SelectBy way, int64_t n_threads) {
  const SelectBy by = count < kFloatsOfLine ? SelectBy::kColumn : way;
  const MatrixF centred = centre(rows.topRows(std::min<int64_t>(rows.rows(), kEnoughRows)));
  const MatrixD sketch = sketch_outputs(b);
  if (count > kMaxSelectable) {
    const std::vector<int32_t> most = candidates(centred, b, std::min(count, kMaxFitted), by);
    return by == SelectBy::kLine ? whole_lines_first(most) : most;
  }
  const std::vector<int32_t> columns = candidates(centred, b, kMaxSelectable, by);
  const MatrixF left = columns_of(centred, columns);
  MatrixD outputs = centred.cast<double>() * sketch;
  outputs /= std::max(outputs.cwiseAbs().maxCoeff(), std::numeric_limits<double>::min());  // in range of float
  Residual residual(products(left, left, n_threads), products(left, outputs.cast<float>(), n_threads));

  std::vector<Group> groups = groups_of(columns, by);
  std::vector<int32_t> selected;
  while (std::ssize(selected) < count) {
    size_t best = 0;
    double most = -1;
    for (size_t i = 0; i < groups.size(); ++i) {
      const Group unspent = residual.without_spent(groups[i]);
      const double gain = unspent.empty() ? -1 : residual.gain(unspent);
      if (gain > most) most = gain, best = i;
    }
    if (most < 0) break;
    for (const int64_t i : groups[best]) {
      if (std::ssize(selected) < count) selected.push_back(columns[i]);
    }
    residual.take_out(residual.without_spent(groups[best]));
    groups.erase(groups.begin() + static_cast<int64_t>(best));
  }
  std::sort(selected.begin(), selected.end());
  return by == SelectBy::kLine ? whole_lines_first(selected) : selected;
}

}  // namespace mithral::train_internal
