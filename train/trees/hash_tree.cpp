#include "train/trees/hash_tree.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "train/parallel_for.h"

namespace mithral::train_internal {
namespace {

constexpr float kNeverSplits = std::numeric_limits<float>::infinity();

}  // namespace

std::vector<int32_t> HashTree::columns_read() const {
  std::vector<int32_t> columns;
  for (int level = 0; level < depth(); ++level) {
    const auto first = thresholds.begin() + (1 << level) - 1;
    const bool splits = std::any_of(first, first + (1 << level), [](float t) { return std::isfinite(t); });
    if (splits) columns.push_back(split_dims[level]);
  }
  return columns;
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

HashTree to_hash_tree(const BinnedTree& tree, const BinnedColumns& columns) {
  HashTree result{tree.split_dims, {}};
  for (int l = 0; l < tree.depth(); ++l) {
    for (const int16_t cut : tree.cuts[l]) {
      result.thresholds.push_back(cut == kNoCut ? kNeverSplits : columns.cuts[tree.split_dims[l]][cut]);
    }
  }
  return result;
}

std::vector<uint8_t> descend(const BinnedTree& tree, const BinnedColumns& columns, std::vector<uint8_t> nodes,
                             int level, int last_level) {
  for (int l = level; l < last_level; ++l) {
    const auto bins = columns.bins.col(tree.split_dims[l]);
    const Cuts& cuts = tree.cuts[l];
    for (size_t i = 0; i < nodes.size(); ++i) {
      const int16_t cut = cuts[nodes[i]];
      const bool right = cut != kNoCut && bins[static_cast<int64_t>(i)] > cut;
      nodes[i] = static_cast<uint8_t>(2 * nodes[i] + (right ? 1 : 0));
    }
  }
  return nodes;
}

BinnedTree first_levels(const BinnedTree& tree, int64_t count) {
  return {{tree.split_dims.begin(), tree.split_dims.begin() + count}, {tree.cuts.begin(), tree.cuts.begin() + count}};
}

BinnedTree dead_tree(int64_t depth) {
  BinnedTree tree{std::vector<int32_t>(depth, 0), {}};
  for (int64_t l = 0; l < depth; ++l) tree.cuts.emplace_back(size_t{1} << l, kNoCut);
  return tree;
}

}  // namespace mithral::train_internal
