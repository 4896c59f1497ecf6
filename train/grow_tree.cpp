#include "train/grow_tree.h"

#include <algorithm>
#include <array>

#include "train/parallel_for.h"

namespace mithral::train_internal {
namespace {

// Target columns handled together. 256 bins of 4 floats are 4 KiB: the histogram stays in the L1 cache while the target
// streams past it.
constexpr int kChunk = 4;
using FloatChunk = Eigen::Array<float, kChunk, 1>;
using DoubleChunk = Eigen::Array<double, kChunk, 1>;

// The target in the order of a level's rows, centred at each node.
//
// Centring makes the search cheap and exact enough for float32 sums: with a zero total, cutting a node into n_left and
// n_right rows whose left part sums to P lowers the squared error by |P|^2 (1 / n_left + 1 / n_right), and no large
// common part is left to cancel.
struct Level {
  NodeRows rows;
  std::vector<FloatChunk> target;  // [chunks][n], zero-padded to whole chunks

  int64_t n_chunks() const { return static_cast<int64_t>(target.size()) / std::max<int64_t>(1, rows.n_rows()); }
};

Level centre(NodeRows rows, const RowsF& source, int64_t n_threads) {
  Level level{std::move(rows), {}};
  const NodeRows& nodes = level.rows;
  const int64_t n = nodes.n_rows();
  const int64_t n_chunks = (source.cols() + kChunk - 1) / kChunk;
  level.target.resize(n_chunks * n);
  parallel_for(n_chunks, n_threads, [&](int64_t chunk) {
    const int64_t first = chunk * kChunk;
    const int64_t width = std::min<int64_t>(kChunk, source.cols() - first);
    const auto values = [&](int64_t i) { return source.row(nodes.order[i]).segment(first, width).transpose().array(); };
    FloatChunk* out = level.target.data() + chunk * n;
    for (int64_t node = 0; node < nodes.n_nodes(); ++node) {
      DoubleChunk mean = DoubleChunk::Zero();
      for (int64_t i = nodes.begin[node]; i < nodes.begin[node + 1]; ++i) mean.head(width) += values(i).cast<double>();
      mean /= static_cast<double>(std::max<int64_t>(1, nodes.size(node)));
      for (int64_t i = nodes.begin[node]; i < nodes.begin[node + 1]; ++i) {
        out[i].setZero();
        out[i].head(width) = (values(i).cast<double>() - mean.head(width)).cast<float>();
      }
    }
  });
  return level;
}

struct NodeSplit {
  double gain = 0;
  int16_t cut = kNoCut;
};

// The best cut of one node. `bins` and the target start at the node's first row; target chunks are `stride` rows apart.
NodeSplit best_cut(std::span<const uint8_t> bins, int n_bins, const FloatChunk* target, int64_t stride,
                   int64_t n_chunks, double ridge) {
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
    const auto left = static_cast<double>(n_left), right = static_cast<double>(n - n_left);
    const double gain = left_square[bin] * (1.0 / (left + ridge) + 1.0 / (right + ridge));
    if (gain > best.gain) best = {gain, static_cast<int16_t>(bin)};
  }
  return best;
}

ColumnSplit best_cuts(const BinnedColumns& columns, int32_t column, const Level& level, const GrowRule& rule) {
  const NodeRows& rows = level.rows;
  const std::vector<uint8_t> bins = bins_in_order(rows, columns, column);
  ColumnSplit split;
  for (int64_t node = 0; node < rows.n_nodes(); ++node) {
    const std::span<const uint8_t> node_bins(bins.data() + rows.begin[node], rows.size(node));
    NodeSplit best = best_cut(node_bins, columns.n_bins(column), level.target.data() + rows.begin[node], rows.n_rows(),
                              level.n_chunks(), rule.ridge);
    if (best.gain <= rule.min_gain) best = {};
    split.gain += best.gain;
    split.cuts.push_back(best.cut);
  }
  return split;
}

}  // namespace

GrownTree grow_tree(const BinnedColumns& columns, std::span<const int32_t> candidates, const RowsF& target,
                    int64_t depth, const GrowRule& rule, CacheLines& lines, int64_t n_threads) {
  const int64_t n = columns.n_rows();
  const bool screen = rule.sample_stride > 1;
  GrownTree grown;
  NodeRows rows = at_root(n);
  NodeRows sample = screen ? at_root(n, rule.sample_stride) : NodeRows{};
  for (int64_t l = 0; l < depth; ++l) {
    const Level all = centre(std::move(rows), target, n_threads);
    const Level sampled = screen ? centre(std::move(sample), target, n_threads) : Level{};
    const auto evaluate = [&](int32_t column, Judged judged) {
      return best_cuts(columns, column, judged == Judged::kOnAll ? all : sampled, rule);
    };
    ChosenSplit chosen = choose_split(candidates, evaluate, screen, lines, rule.line_tolerance, n_threads);
    rows = split_rows(all.rows, columns, chosen.column, chosen.split.cuts);
    if (screen) sample = split_rows(sampled.rows, columns, chosen.column, chosen.split.cuts);
    lines.add(chosen.column);
    grown.gain += chosen.split.gain;
    grown.tree.split_dims.push_back(chosen.column);
    grown.tree.cuts.push_back(std::move(chosen.split.cuts));
  }

  grown.leaves.resize(n);
  for (int64_t leaf = 0; leaf < rows.n_nodes(); ++leaf) {
    for (int64_t i = rows.begin[leaf]; i < rows.begin[leaf + 1]; ++i) {
      grown.leaves[rows.order[i]] = static_cast<uint8_t>(leaf);
    }
  }
  return grown;
}

}  // namespace mithral::train_internal
