#include "train/trees/grow_tree.h"

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

// The bins of one column that some row of a node is in, with running totals over the rows before and in them. Made for
// one node after the other, so that its memory is taken once.
class NodeHistogram {
 public:
  NodeHistogram(int n_bins, int64_t n_chunks)
      : n_bins_(n_bins), n_chunks_(n_chunks), sums_up_to_((n_bins + 1) * n_chunks) {}

  // `bins` and the target start at the node's first row; target chunks are `stride` rows apart.
  void fill(std::span<const uint8_t> bins, const FloatChunk* target, int64_t stride) {
    count(bins);
    int64_t chunk = 0;
    for (; chunk + 2 <= n_chunks_; chunk += 2) add<2>(bins, target + chunk * stride, stride, chunk);
    if (chunk < n_chunks_) add<1>(bins, target + chunk * stride, stride, chunk);
  }

  int size() const { return size_; }
  bool is_whole(int first, int end) const { return first == 0 && end == size_; }
  int16_t bin(int index) const { return bins_[index]; }
  double rows(int first, int end) const { return rows_up_to_[end] - rows_up_to_[first]; }

  // |the target's sum over bins [first, end)|^2
  double squared_sum(int first, int end) const {
    DoubleChunk square = DoubleChunk::Zero();
    for (int64_t chunk = 0; chunk < n_chunks_; ++chunk) {
      square += (sums_up_to_[end * n_chunks_ + chunk] - sums_up_to_[first * n_chunks_ + chunk]).square();
    }
    return square.sum();
  }

 private:
  void count(std::span<const uint8_t> bins) {
    std::array<int32_t, kMaxBins> counts;
    std::fill_n(counts.begin(), n_bins_, 0);
    for (const uint8_t bin : bins) ++counts[bin];
    size_ = 0;
    rows_up_to_[0] = 0;
    for (int bin = 0; bin < n_bins_; ++bin) {
      if (counts[bin] == 0) continue;
      bins_[size_] = static_cast<int16_t>(bin);
      rows_up_to_[size_ + 1] = rows_up_to_[size_] + counts[bin];
      ++size_;
    }
  }

  // Two chunks at a time: where rows of the same bin follow each other, each sum waits for the last.
  template <int kTogether>
  void add(std::span<const uint8_t> bins, const FloatChunk* target, int64_t stride, int64_t first_chunk) {
    std::array<std::array<FloatChunk, kTogether>, kMaxBins> sums;
    for (int bin = 0; bin < n_bins_; ++bin) sums[bin].fill(FloatChunk::Zero());
    for (size_t i = 0; i < bins.size(); ++i) {
      for (int k = 0; k < kTogether; ++k) sums[bins[i]][k] += target[k * stride + static_cast<int64_t>(i)];
    }
    for (int k = 0; k < kTogether; ++k) {
      DoubleChunk total = DoubleChunk::Zero();
      for (int b = 0; b < size_; ++b) {
        sums_up_to_[b * n_chunks_ + first_chunk + k] = total;
        total += sums[bins_[b]][k].template cast<double>();
      }
      sums_up_to_[size_ * n_chunks_ + first_chunk + k] = total;
    }
  }

  int n_bins_;
  int64_t n_chunks_;
  int size_ = 0;
  std::array<int16_t, kMaxBins> bins_;
  std::array<int32_t, kMaxBins + 1> rows_up_to_;
  std::vector<DoubleChunk> sums_up_to_;  // [bins + 1][chunks]
};

// The best cuts of one node and of those below it, `span` levels deep, written to `split`.
class NodeCutter {
 public:
  NodeCutter(const NodeHistogram& histogram, const GrowRule& rule, ColumnSplit& split)
      : histogram_(histogram), rule_(rule), split_(split) {}

  // Bins [first, end) are in node `node` of level `level` of the span.
  void cut(int first, int end, int64_t level, int64_t node) {
    if (level == rule_.span) return;
    const int at = best_cut(first, end, rule_.span - level);
    split_.levels[level][node] = at == first ? kNoCut : histogram_.bin(at - 1);
    // Without a cut all rows go left.
    cut(first, at == first ? end : at, level + 1, 2 * node);
    cut(at == first ? end : at, end, level + 1, 2 * node + 1);
  }

 private:
  // The first bin to go right; `first` when no cut gains enough.
  int best_cut(int first, int end, int64_t levels_left) {
    const int capacity = 1 << std::min<int64_t>(levels_left - 1, 16);
    const bool tells_all_apart = end - first <= 2 * capacity;
    const double n = histogram_.rows(first, end);
    const bool is_whole = histogram_.is_whole(first, end);
    const double whole = is_whole ? 0 : histogram_.squared_sum(first, end) / (n + rule_.ridge);
    double best_gain = rule_.min_gain;
    int best = first;
    for (int at = first + 1; at < end; ++at) {
      if (tells_all_apart && (at - first > capacity || end - at > capacity)) continue;
      const double left = histogram_.squared_sum(first, at);
      const double right = is_whole ? left : histogram_.squared_sum(at, end);  // a whole node's sum is 0
      const double n_left = histogram_.rows(first, at) + rule_.ridge;
      const double n_right = n - n_left + 2 * rule_.ridge;
      const double gain = (left * n_right + right * n_left) / (n_left * n_right) - whole;
      if (gain <= best_gain) continue;
      best_gain = gain;
      best = at;
    }
    if (best != first) split_.gain += best_gain;
    return best;
  }

  const NodeHistogram& histogram_;
  const GrowRule& rule_;
  ColumnSplit& split_;
};

// Rows on their way down a tree, and their target, centred at each node.
//
// Centring makes the search cheap and exact enough for float32 sums: with a zero total, cutting a node into n_left and
// n_right rows whose left part sums to P lowers the squared error by |P|^2 (1 / n_left + 1 / n_right), and no large
// common part is left to cancel.
class Descent {
 public:
  explicit Descent(const TargetRows& source) : source_(source), rows_(at_root(source.columns.n_rows())) {}

  void go_down(int32_t column, const Cuts& cuts) { rows_ = split_rows(rows_, source_.columns, column, cuts); }

  void centre_target(int64_t n_threads) {
    target_.resize(n_chunks() * rows_.n_rows());
    parallel_for(n_chunks(), n_threads, [&](int64_t chunk) { centre_chunk(chunk); });
  }

  ColumnSplit best_cuts(int32_t column, const GrowRule& rule) const {
    const std::vector<uint8_t> bins = bins_in_order(rows_, source_.columns, column);
    ColumnSplit split;
    for (int64_t l = 0; l < rule.span; ++l) split.levels.emplace_back(rows_.n_nodes() << l, kNoCut);
    NodeHistogram histogram(source_.columns.n_bins(column), n_chunks());
    for (int64_t node = 0; node < rows_.n_nodes(); ++node) {
      const std::span<const uint8_t> node_bins(bins.data() + rows_.begin[node], rows_.size(node));
      histogram.fill(node_bins, target_.data() + rows_.begin[node], rows_.n_rows());
      NodeCutter(histogram, rule, split).cut(0, histogram.size(), 0, node);
    }
    return split;
  }

  std::vector<uint8_t> leaves() const {
    std::vector<uint8_t> leaves(rows_.n_rows());
    for (int64_t leaf = 0; leaf < rows_.n_nodes(); ++leaf) {
      for (int64_t i = rows_.begin[leaf]; i < rows_.begin[leaf + 1]; ++i) {
        leaves[rows_.order[i]] = static_cast<uint8_t>(leaf);
      }
    }
    return leaves;
  }

 private:
  int64_t n_chunks() const { return (source_.target.cols() + kChunk - 1) / kChunk; }

  void centre_chunk(int64_t chunk) {
    const int64_t first = chunk * kChunk;
    const int64_t width = std::min<int64_t>(kChunk, source_.target.cols() - first);
    const auto values = [&](int64_t i) {
      return source_.target.row(rows_.order[i]).segment(first, width).transpose().array();
    };
    FloatChunk* out = target_.data() + chunk * rows_.n_rows();
    for (int64_t node = 0; node < rows_.n_nodes(); ++node) {
      DoubleChunk mean = DoubleChunk::Zero();
      for (int64_t i = rows_.begin[node]; i < rows_.begin[node + 1]; ++i) mean.head(width) += values(i).cast<double>();
      mean /= static_cast<double>(std::max<int64_t>(1, rows_.size(node)));
      for (int64_t i = rows_.begin[node]; i < rows_.begin[node + 1]; ++i) {
        out[i].setZero();
        out[i].head(width) = (values(i).cast<double>() - mean.head(width)).cast<float>();
      }
    }
  }

  const TargetRows& source_;
  RowsByNode rows_;
  std::vector<FloatChunk> target_;  // [chunks][n] in the rows' order, zero-padded to whole chunks
};

}  // namespace

GrownTree grow_tree(const TargetRows& all, const std::optional<TargetRows>& sample, std::span<const int32_t> candidates,
                    BinnedTree start, int64_t depth, const GrowRule& wanted, CacheLines& lines, int64_t n_threads) {
  Descent descent(all);
  std::optional<Descent> sampled;
  if (sample) sampled.emplace(*sample);
  const auto go_down = [&](int32_t column, const Cuts& cuts) {
    descent.go_down(column, cuts);
    if (sampled) sampled->go_down(column, cuts);
  };
  for (int l = 0; l < start.depth(); ++l) go_down(start.split_dims[l], start.cuts[l]);

  GrownTree grown{std::move(start), {}, 0};
  while (grown.tree.depth() < depth) {
    GrowRule rule = wanted;
    rule.span = std::min(wanted.span, depth - grown.tree.depth());
    descent.centre_target(n_threads);
    if (sampled) sampled->centre_target(n_threads);
    const auto evaluate = [&](int32_t column, Judged judged) {
      return (judged == Judged::kOnAll ? descent : *sampled).best_cuts(column, rule);
    };
    ChosenSplit chosen = choose_split(candidates, evaluate, sampled.has_value(), lines, rule.line_tolerance, n_threads);
    for (Cuts& cuts : chosen.split.levels) {
      go_down(chosen.column, cuts);
      grown.tree.split_dims.push_back(chosen.column);
      grown.tree.cuts.push_back(std::move(cuts));
    }
    lines.add(chosen.column);
    grown.gain += chosen.split.gain;
  }
  grown.leaves = descent.leaves();
  return grown;
}

}  // namespace mithral::train_internal
