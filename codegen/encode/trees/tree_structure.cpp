#include "codegen/encode/trees/tree_structure.h"

#include <algorithm>

#include "codegen/model/float_environment.h"

namespace mithral::codegen {
namespace {

// A row goes right of a threshold only if it is finite or -inf: nothing is greater than +inf. Every threshold lets NaN
// go left.
std::vector<bool> reachable_children(const std::vector<bool>& reachable, const std::vector<float>& thresholds) {
  std::vector<bool> children(2 * reachable.size());
  for (size_t node = 0; node < reachable.size(); ++node) {
    children[2 * node] = reachable[node];
    children[2 * node + 1] = reachable[node] && thresholds[node] < kNeverSplits;
  }
  return children;
}

TreeLevel analyse_level(const std::vector<float>& thresholds, const std::vector<bool>& reachable) {
  const float first = thresholds[0];  // node 0 is always reachable: it is left of everything
  bool equal = true;
  for (size_t node = 0; node < thresholds.size(); ++node) {
    if (reachable[node] && thresholds[node] != first) equal = false;
  }
  if (!equal) return {TreeLevel::Kind::kTable, -1, thresholds, reachable};
  if (first == kNeverSplits) return {TreeLevel::Kind::kDead, -1, {}, {}};
  return {TreeLevel::Kind::kUniform, -1, {first}, {}};
}

std::vector<TreeLevel> analyse_tree(const HashTrees& trees, int64_t codebook) {
  std::vector<TreeLevel> levels;
  std::vector<bool> reachable = {true};
  for (int64_t level = 0; level < trees.depth(); ++level) {
    std::vector<float> thresholds;
    for (size_t node = 0; node < reachable.size(); ++node) thresholds.push_back(trees.threshold(codebook, level, node));
    levels.push_back(analyse_level(thresholds, reachable));
    reachable = reachable_children(reachable, thresholds);
  }
  return levels;
}

}  // namespace

TreeStructure analyse_trees(const HashTrees& trees, const std::vector<int32_t>& others) {
  const DefaultFloatEnvironment ieee;  // subnormal thresholds differ
  TreeStructure result{.columns = others, .trees = {}, .depth = static_cast<size_t>(trees.depth())};
  for (int64_t c = 0; c < trees.n_codebooks(); ++c) {
    result.trees.push_back(analyse_tree(trees, c));
    for (int64_t level = 0; level < trees.depth(); ++level) {
      if (result.trees[c][level].kind != TreeLevel::Kind::kDead) result.columns.push_back(trees.split_dim(c, level));
    }
  }
  std::sort(result.columns.begin(), result.columns.end());
  result.columns.erase(std::unique(result.columns.begin(), result.columns.end()), result.columns.end());

  for (int64_t c = 0; c < trees.n_codebooks(); ++c) {
    for (int64_t level = 0; level < trees.depth(); ++level) {
      if (result.trees[c][level].kind == TreeLevel::Kind::kDead) continue;
      const auto place = std::lower_bound(result.columns.begin(), result.columns.end(), trees.split_dim(c, level));
      result.trees[c][level].column = static_cast<int>(place - result.columns.begin());
    }
  }
  return result;
}

}  // namespace mithral::codegen
