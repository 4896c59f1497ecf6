#include "train/trees/separating_tree.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace mithral::train_internal {
namespace {

using Point = std::vector<uint8_t>;  // the bins of a distinct row in the candidate columns
using Node = std::vector<const Point*>;

constexpr int kMaxTries = 20'000;  // columns tried before the search gives up

// The distinct rows of the candidates; none when there are more than `most`.
std::set<Point> distinct_points(const BinnedColumns& columns, std::span<const int32_t> candidates, size_t most) {
  std::set<Point> points;
  Point point(candidates.size());
  for (int64_t i = 0; i < columns.n_rows(); ++i) {
    for (size_t j = 0; j < candidates.size(); ++j) point[j] = columns.bins(i, candidates[j]);
    points.insert(point);
    if (points.size() > most) return {};
  }
  return points;
}

// Whether equal bins mean equal rows: they do not where bins merge values.
bool has_a_bin_per_value(const BinnedColumns& columns, std::span<const int32_t> candidates) {
  return std::all_of(candidates.begin(), candidates.end(),
                     [&columns](int32_t column) { return columns.has_a_bin_per_value[column] != 0; });
}

class Search {
 public:
  Search(std::span<const int32_t> candidates, int64_t depth) : candidates_(candidates), depth_(depth) {}

  bool split(const std::vector<Node>& nodes) {
    const int64_t level = tree_.depth();
    if (level == depth_) return true;
    const size_t capacity = size_t{1} << (depth_ - level - 1);
    for (size_t j = 0; j < candidates_.size(); ++j) {
      if (++tries_ > kMaxTries) return false;
      Cuts cuts;
      std::vector<Node> children;
      for (const Node& node : nodes) {
        if (!cut(node, j, capacity, cuts, children)) break;
      }
      if (cuts.size() < nodes.size()) continue;
      tree_.split_dims.push_back(candidates_[j]);
      tree_.cuts.push_back(std::move(cuts));
      if (split(children)) return true;
      tree_.split_dims.pop_back();
      tree_.cuts.pop_back();
    }
    return false;
  }

  BinnedTree tree() && { return std::move(tree_); }

 private:
  // The most even cut that leaves each side at most `capacity` points; false when there is none.
  static bool cut(const Node& node, size_t j, size_t capacity, Cuts& cuts, std::vector<Node>& children) {
    Node sorted = node;
    std::stable_sort(sorted.begin(), sorted.end(), [j](const Point* x, const Point* y) { return (*x)[j] < (*y)[j]; });
    size_t best = sorted.size();  // points that go left: without a cut all of them
    const auto unevenness = [&sorted](size_t left) { return std::max(left, sorted.size() - left); };
    for (size_t left = 1; left < sorted.size(); ++left) {
      const bool cuts_here = (*sorted[left - 1])[j] < (*sorted[left])[j];
      if (cuts_here && unevenness(left) < unevenness(best)) best = left;
    }
    if (unevenness(best) > capacity) return false;
    cuts.push_back(best == sorted.size() ? kNoCut : static_cast<int16_t>((*sorted[best - 1])[j]));
    children.emplace_back(sorted.begin(), sorted.begin() + static_cast<int64_t>(best));
    children.emplace_back(sorted.begin() + static_cast<int64_t>(best), sorted.end());
    return true;
  }

  std::span<const int32_t> candidates_;
  int64_t depth_;
  int tries_ = 0;
  BinnedTree tree_;
};

}  // namespace

std::optional<BinnedTree> find_separating_tree(const BinnedColumns& columns, std::span<const int32_t> candidates,
                                               int64_t depth) {
  if (!has_a_bin_per_value(columns, candidates)) return std::nullopt;
  const std::set<Point> points = distinct_points(columns, candidates, size_t{1} << depth);
  if (points.empty()) return std::nullopt;
  Node all;
  for (const Point& point : points) all.push_back(&point);
  Search search(candidates, depth);
  if (!search.split({all})) return std::nullopt;
  return std::move(search).tree();
}

}  // namespace mithral::train_internal
