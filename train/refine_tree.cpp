#include "train/refine_tree.h"

#include <algorithm>
#include <array>

#include "train/parallel_for.h"

namespace mithral::train_internal {
namespace {

constexpr int64_t kBlockRows = 1024;

// The squared error of each row at each leaf, up to a part that all leaves share: (n, K).
MatrixF leaf_costs(const MatrixF& leaf_outputs, const MatrixF& wanted, int64_t n_threads) {
  const Eigen::RowVectorXf squares = leaf_outputs.rowwise().squaredNorm().transpose();
  MatrixF costs(wanted.rows(), leaf_outputs.rows());
  parallel_for((wanted.rows() + kBlockRows - 1) / kBlockRows, n_threads, [&](int64_t block) {
    const int64_t first = block * kBlockRows;
    const int64_t count = std::min(kBlockRows, wanted.rows() - first);
    auto out = costs.middleRows(first, count);
    out.noalias() = -2 * wanted.middleRows(first, count) * leaf_outputs.transpose();
    out.rowwise() += squares;
  });
  return costs;
}

// Rows by node, and how much more each costs on the left than on the right.
struct Level {
  NodeRows rows;
  std::vector<float> excess;  // in the rows' order
};

Level make_level(NodeRows rows, const std::vector<float>& excess) {
  Level level{std::move(rows), {}};
  level.excess.reserve(level.rows.order.size());
  for (const int32_t row : level.rows.order) level.excess.push_back(excess[row]);
  return level;
}

// Sending the bins up to a cut left and the others right costs, beside all left, minus the excess of the others.
ColumnSplit best_cuts(const BinnedColumns& columns, int32_t column, const Level& level) {
  const std::vector<uint8_t> bins = bins_in_order(level.rows, columns, column);
  const int n_bins = columns.n_bins(column);
  ColumnSplit split{0, {Cuts()}};
  for (int64_t node = 0; node < level.rows.n_nodes(); ++node) {
    std::array<double, kMaxBins> sums;
    std::fill_n(sums.begin(), n_bins, 0.0);
    for (int64_t i = level.rows.begin[node]; i < level.rows.begin[node + 1]; ++i) sums[bins[i]] += level.excess[i];
    double right = 0;
    double best = 0;
    int16_t cut = kNoCut;
    for (int bin = n_bins - 1; bin > 0; --bin) {
      right += sums[bin];
      if (right > best) {
        best = right;
        cut = static_cast<int16_t>(bin - 1);
      }
    }
    split.gain += best;
    split.levels[0].push_back(cut);
  }
  return split;
}

NodeRows rows_at_level(const BinnedTree& tree, const BinnedColumns& columns, int level, int64_t stride) {
  NodeRows rows = at_root(columns.n_rows(), stride);
  for (int l = 0; l < level; ++l) rows = split_rows(rows, columns, tree.split_dims[l], tree.cuts[l]);
  return rows;
}

// The node of every row at a level, from the root.
std::vector<uint8_t> nodes_at_level(const BinnedTree& tree, const BinnedColumns& columns, int level) {
  return descend(tree, columns, std::vector<uint8_t>(columns.n_rows()), 0, level);
}

std::vector<float> left_excess(const BinnedTree& tree, const BinnedColumns& columns, int level, const MatrixF& costs) {
  std::vector<uint8_t> left = nodes_at_level(tree, columns, level);
  for (uint8_t& node : left) node = static_cast<uint8_t>(2 * node);
  std::vector<uint8_t> right = left;
  for (uint8_t& node : right) ++node;
  left = descend(tree, columns, std::move(left), level + 1, tree.depth());
  right = descend(tree, columns, std::move(right), level + 1, tree.depth());
  std::vector<float> excess(left.size());
  for (size_t i = 0; i < excess.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    excess[i] = costs(row, left[i]) - costs(row, right[i]);
  }
  return excess;
}

}  // namespace

std::vector<uint8_t> refine_tree(const BinnedColumns& columns, std::span<const int32_t> candidates,
                                 const MatrixF& leaf_outputs, const MatrixF& wanted, const RefineRule& rule,
                                 BinnedTree& tree) {
  const MatrixF costs = leaf_costs(leaf_outputs, wanted, rule.n_threads);
  const bool screen = rule.sample_stride > 1;
  const CacheLines no_lines(static_cast<int64_t>(columns.cuts.size()));
  for (int l = tree.depth() - 1; l >= 0; --l) {
    const std::vector<float> excess = left_excess(tree, columns, l, costs);
    const Level all = make_level(rows_at_level(tree, columns, l, 1), excess);
    const Level sample = screen ? make_level(rows_at_level(tree, columns, l, rule.sample_stride), excess) : Level{};
    const auto evaluate = [&](int32_t column, Judged judged) {
      return best_cuts(columns, column, judged == Judged::kOnAll ? all : sample);
    };
    ChosenSplit chosen = choose_split(candidates, evaluate, screen, no_lines, 0, rule.n_threads);
    tree.split_dims[l] = chosen.column;
    tree.cuts[l] = std::move(chosen.split.levels[0]);
  }
  return nodes_at_level(tree, columns, tree.depth());
}

}  // namespace mithral::train_internal
