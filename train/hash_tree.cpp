#include "train/hash_tree.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <optional>

#include "train/parallel_for.h"

namespace mithral::train_internal {
namespace {

constexpr float kNeverSplits = std::numeric_limits<float>::infinity();

// The cache line of a column, when rows are a multiple of a line apart. NumPy's large arrays start 16 bytes into a
// line: malloc puts its header in front of them.
int32_t line_of(int32_t column) {
  constexpr int32_t kLineFloats = 16, kFirstFloat = 4;
  return (column + kFirstFloat) / kLineFloats;
}

// Target columns handled together. 256 bins of 16 floats are 16 KiB: the histogram stays in the L1 cache while the
// target streams past it.
constexpr int kChunk = 16;
using FloatChunk = Eigen::Array<float, kChunk, 1>;
using DoubleChunk = Eigen::Array<double, kChunk, 1>;

// The rows of one level, sorted by node, with the target in that order and centred at each node.
//
// Centring makes the search cheap and exact enough for float32 sums: with a zero total, cutting a node into n_left and
// n_right rows whose left part sums to P lowers the squared error by |P|^2 (1 / n_left + 1 / n_right), and no large
// common part is left to cancel.
struct Level {
  std::vector<int32_t> order;       // [n], row numbers
  std::vector<int64_t> node_begin;  // [nodes + 1], into order
  std::vector<FloatChunk> target;   // [chunks][n], zero-padded to whole chunks

  int64_t n_rows() const { return static_cast<int64_t>(order.size()); }
  int64_t n_nodes() const { return static_cast<int64_t>(node_begin.size()) - 1; }
  int64_t n_chunks() const { return static_cast<int64_t>(target.size()) / n_rows(); }
};

void centre_target(const RowsF& source, int64_t n_threads, Level& level) {
  const int64_t n = level.n_rows();
  const int64_t n_chunks = (source.cols() + kChunk - 1) / kChunk;
  level.target.resize(n_chunks * n);
  parallel_for(n_chunks, n_threads, [&](int64_t chunk) {
    const int64_t first = chunk * kChunk;
    const int64_t width = std::min<int64_t>(kChunk, source.cols() - first);
    const auto values = [&](int64_t i) { return source.row(level.order[i]).segment(first, width).transpose().array(); };
    FloatChunk* out = level.target.data() + chunk * n;
    for (int64_t node = 0; node < level.n_nodes(); ++node) {
      DoubleChunk mean = DoubleChunk::Zero();
      for (int64_t i = level.node_begin[node]; i < level.node_begin[node + 1]; ++i) {
        mean.head(width) += values(i).cast<double>();
      }
      mean /= static_cast<double>(std::max<int64_t>(1, level.node_begin[node + 1] - level.node_begin[node]));
      for (int64_t i = level.node_begin[node]; i < level.node_begin[node + 1]; ++i) {
        out[i].setZero();
        out[i].head(width) = (values(i).cast<double>() - mean.head(width)).cast<float>();
      }
    }
  });
}

struct NodeSplit {
  double gain = 0;
  int cut = -1;  // bins above it go right; -1: the node does not split
};

struct ColumnSplit {
  double gain = 0;
  std::vector<NodeSplit> nodes;
};

// The best cut of one node. `bins` and the target start at the node's first row; target chunks are `stride` rows apart.
NodeSplit best_cut(std::span<const uint8_t> bins, int n_bins, const FloatChunk* target, int64_t stride,
                   int64_t n_chunks) {
  const auto n = static_cast<int64_t>(bins.size());
  std::array<int32_t, kMaxBins> counts{};
  for (const uint8_t bin : bins) ++counts[bin];

  std::array<double, kMaxBins> left_square{};  // |P|^2 by cut
  std::array<FloatChunk, kMaxBins> sums;
  for (int64_t chunk = 0; chunk < n_chunks; ++chunk) {
    const FloatChunk* rows = target + chunk * stride;
    std::fill_n(sums.begin(), n_bins, FloatChunk::Zero());
    for (int64_t i = 0; i < n; ++i) sums[bins[i]] += rows[i];
    DoubleChunk left = DoubleChunk::Zero();
    for (int bin = 0; bin < n_bins; ++bin) {
      if (counts[bin] == 0) continue;
      left += sums[bin].cast<double>();
      left_square[bin] += left.square().sum();
    }
  }

  NodeSplit best;
  int64_t n_left = 0;
  for (int bin = 0; bin < n_bins; ++bin) {
    if (counts[bin] == 0) continue;
    n_left += counts[bin];
    if (n_left == n) break;
    const double gain = left_square[bin] * (1.0 / static_cast<double>(n_left) + 1.0 / static_cast<double>(n - n_left));
    if (gain > best.gain) best = {gain, bin};
  }
  return best;
}

ColumnSplit best_cuts(const BinnedColumns& columns, int32_t column, const Level& level, double min_gain) {
  std::vector<uint8_t> bins(level.n_rows());
  for (int64_t i = 0; i < level.n_rows(); ++i) bins[i] = columns.bins(level.order[i], column);
  const int n_bins = static_cast<int>(columns.cuts[column].size()) + 1;

  ColumnSplit split;
  for (int64_t node = 0; node < level.n_nodes(); ++node) {
    const int64_t begin = level.node_begin[node];
    const std::span<const uint8_t> node_bins(bins.data() + begin, level.node_begin[node + 1] - begin);
    NodeSplit best = best_cut(node_bins, n_bins, level.target.data() + begin, level.n_rows(), level.n_chunks());
    if (best.gain <= min_gain) best = {};
    split.gain += best.gain;
    split.nodes.push_back(best);
  }
  return split;
}

// The next level's rows: each node's left rows, then its right ones, in their old order.
Level split_rows(const Level& level, const BinnedColumns& columns, int32_t column, const ColumnSplit& split) {
  Level next;
  next.order.reserve(level.order.size());
  next.node_begin.push_back(0);
  for (int64_t node = 0; node < level.n_nodes(); ++node) {
    const int cut = split.nodes[node].cut;
    for (const bool right : {false, true}) {
      for (int64_t i = level.node_begin[node]; i < level.node_begin[node + 1]; ++i) {
        const int32_t row = level.order[i];
        const bool goes_right = cut >= 0 && columns.bins(row, column) > cut;
        if (goes_right == right) next.order.push_back(row);
      }
      next.node_begin.push_back(static_cast<int64_t>(next.order.size()));
    }
  }
  return next;
}

// The candidate with the largest gain; or, if one in a cache line that the tree already reads comes close enough, that
// one.
size_t choose_column(const std::vector<ColumnSplit>& splits, std::span<const int32_t> candidates, const HashTree& tree,
                     double line_tolerance) {
  const auto line_is_read = [&tree](int32_t column) {
    return std::any_of(tree.split_dims.begin(), tree.split_dims.end(),
                       [column](int32_t read) { return line_of(read) == line_of(column); });
  };
  size_t best = 0;
  std::optional<size_t> best_read;
  for (size_t i = 0; i < splits.size(); ++i) {
    if (splits[i].gain > splits[best].gain) best = i;
    if (line_is_read(candidates[i]) && (!best_read || splits[i].gain > splits[*best_read].gain)) best_read = i;
  }
  const bool close = best_read && splits[*best_read].gain >= (1 - line_tolerance) * splits[best].gain;
  return close ? *best_read : best;
}

}  // namespace

LearnedTree learn_hash_tree(const BinnedColumns& columns, std::span<const int32_t> candidates, const RowsF& target,
                            int64_t depth, const SplitRule& rule, int64_t n_threads) {
  LearnedTree learned;
  Level level;
  level.order.resize(columns.n_rows());
  std::iota(level.order.begin(), level.order.end(), 0);
  level.node_begin = {0, columns.n_rows()};

  for (int64_t l = 0; l < depth; ++l) {
    centre_target(target, n_threads, level);
    std::vector<ColumnSplit> splits(candidates.size());
    parallel_for(static_cast<int64_t>(candidates.size()), n_threads,
                 [&](int64_t i) { splits[i] = best_cuts(columns, candidates[i], level, rule.min_gain); });
    const size_t chosen = choose_column(splits, candidates, learned.tree, rule.line_tolerance);
    const ColumnSplit& split = splits[chosen];
    const int32_t column = candidates[chosen];

    learned.gain += split.gain;
    learned.tree.split_dims.push_back(column);
    for (const NodeSplit& node : split.nodes) {
      learned.tree.thresholds.push_back(node.cut < 0 ? kNeverSplits : columns.cuts[column][node.cut]);
    }
    level = split_rows(level, columns, column, split);
  }

  learned.leaves.resize(columns.n_rows());
  for (int64_t leaf = 0; leaf < level.n_nodes(); ++leaf) {
    for (int64_t i = level.node_begin[leaf]; i < level.node_begin[leaf + 1]; ++i) {
      learned.leaves[level.order[i]] = static_cast<uint8_t>(leaf);
    }
  }
  return learned;
}

std::vector<uint8_t> encode(const HashTree& tree, const RowsF& rows) {
  std::vector<uint8_t> leaves(rows.rows());
  for (int64_t i = 0; i < rows.rows(); ++i) {
    int node = 0;
    for (int l = 0; l < tree.depth(); ++l) {
      const float threshold = tree.thresholds[(1 << l) - 1 + node];
      node = 2 * node + (rows(i, tree.split_dims[l]) > threshold ? 1 : 0);
    }
    leaves[i] = static_cast<uint8_t>(node);
  }
  return leaves;
}

Codes encode_all(std::span<const HashTree> trees, const RowsF& rows, int64_t n_threads) {
  Codes codes(rows.rows(), static_cast<int64_t>(trees.size()));
  parallel_for(codes.cols(), n_threads, [&](int64_t c) {
    const std::vector<uint8_t> leaves = encode(trees[c], rows);
    codes.col(c) = Eigen::Map<const Eigen::Matrix<uint8_t, Eigen::Dynamic, 1>>(leaves.data(), rows.rows());
  });
  return codes;
}

}  // namespace mithral::train_internal
