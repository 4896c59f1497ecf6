#include "codegen/simplify_model.h"

#include <algorithm>
#include <vector>

#include "codegen/model/float_environment.h"

namespace mithral::codegen {
namespace {

// A codebook by itself, which may have fewer levels than others. No level: a constant.
struct Codebook {
  struct Level {
    int32_t split_dim;
    std::vector<float> thresholds;  // 2^level
  };
  std::vector<Level> levels;
  std::vector<uint8_t> lut;  // (2^levels, M)
};

Codebook codebook_of(const Model& model, int64_t c) {
  const HashTrees& trees = model.trees();
  Codebook result;
  for (int64_t level = 0; level < trees.depth(); ++level) {
    const int64_t n_nodes = int64_t{1} << level;
    const auto first = trees.thresholds().begin() + c * (trees.n_entries() - 1) + n_nodes - 1;
    result.levels.push_back({trees.split_dim(c, level), {first, first + n_nodes}});
  }
  result.lut.assign(model.tables().entries(c, 0), model.tables().entries(c, model.n_entries()));
  return result;
}

// Whether the two halves below a node, of a level's thresholds or of the table, are equal.
template <typename T>
bool halves_are_equal(const T* values, int64_t count, int64_t level, int64_t node) {
  const int64_t size = count >> (level + 1);
  const T* left = values + 2 * node * size;
  return std::equal(left, left + size, left + size);
}

// Whether simplify() would leave this codebook as it is: every node splits, and what is below its children differs.
// Looked up in place, and mostly seen at the first entries: tables are large, and most have nothing to simplify.
bool is_simple(const Model& model, int64_t c) {
  const HashTrees& trees = model.trees();
  const auto thresholds = [&](int64_t level) {
    return trees.thresholds().data() + c * (trees.n_entries() - 1) + (int64_t{1} << level) - 1;
  };
  const int64_t table_bytes = model.n_entries() * model.n_outputs();
  for (int64_t level = 0; level < trees.depth(); ++level) {
    for (int64_t node = 0; node < int64_t{1} << level; ++node) {
      if (thresholds(level)[node] == kNeverSplits) return false;
      bool equal = halves_are_equal(model.tables().entries(c, 0), table_bytes, level, node);
      for (int64_t below = level + 1; equal && below < trees.depth(); ++below) {
        equal = halves_are_equal(thresholds(below), int64_t{1} << below, level, node);
      }
      if (equal) return false;
    }
  }
  return true;
}

// Calls use(left, right, size) for the thresholds of each level below a node, and for its leaves' entries: where those
// under its left child begin, those under its right one, and how many there are of each.
template <typename Use>
void for_children(Codebook& codebook, size_t level, size_t node, Use&& use) {
  const auto part = [&](auto& values) {
    const size_t size = values.size() >> (level + 1);
    const auto left = values.begin() + 2 * node * size;
    use(left, left + size, size);
  };
  for (size_t below = level + 1; below < codebook.levels.size(); ++below) part(codebook.levels[below].thresholds);
  part(codebook.lut);
}

bool children_are_equal(Codebook& codebook, size_t level, size_t node) {
  bool equal = true;
  for_children(codebook, level, node,
               [&](auto left, auto right, size_t size) { equal = equal && std::equal(left, left + size, right); });
  return equal;
}

// From the leaves up, every node whose split has no effect is made one that never splits, with the same below both its
// children. So trees that do the same are the same, and such a node may take any threshold.
void unite_equal_children(Codebook& codebook) {
  for (size_t level = codebook.levels.size(); level-- > 0;) {
    std::vector<float>& thresholds = codebook.levels[level].thresholds;
    for (size_t node = 0; node < thresholds.size(); ++node) {
      if (thresholds[node] == kNeverSplits) {
        for_children(codebook, level, node, [](auto left, auto right, size_t size) { std::copy_n(left, size, right); });
      } else if (children_are_equal(codebook, level, node)) {
        thresholds[node] = kNeverSplits;
      }
    }
  }
}

// Nodes that never split take the threshold that all others of their level share.
void unite_thresholds(std::vector<float>& thresholds) {
  const auto splits = [](float t) { return t != kNeverSplits; };
  const auto first = std::find_if(thresholds.begin(), thresholds.end(), splits);
  if (first == thresholds.end()) return;
  const float shared = *first;
  const auto other = [&](float t) { return splits(t) && t != shared; };
  if (std::none_of(first, thresholds.end(), other)) std::fill(thresholds.begin(), thresholds.end(), shared);
}

// Of the children of each of `n_nodes` nodes, what is below the left ones.
template <typename T>
std::vector<T> left_halves(const std::vector<T>& values, size_t n_nodes) {
  const size_t size = values.size() / n_nodes;
  std::vector<T> result;
  for (size_t node = 0; node < n_nodes; ++node) {
    const auto begin = values.begin() + node * size;
    result.insert(result.end(), begin, begin + size / 2);
  }
  return result;
}

void drop_dead_levels(Codebook& codebook) {
  for (size_t level = codebook.levels.size(); level-- > 0;) {
    const std::vector<float>& thresholds = codebook.levels[level].thresholds;
    if (std::any_of(thresholds.begin(), thresholds.end(), [](float t) { return t != kNeverSplits; })) continue;
    const size_t n_nodes = thresholds.size();
    for (size_t below = level + 1; below < codebook.levels.size(); ++below) {
      codebook.levels[below].thresholds = left_halves(codebook.levels[below].thresholds, n_nodes);
    }
    codebook.lut = left_halves(codebook.lut, n_nodes);
    codebook.levels.erase(codebook.levels.begin() + level);
  }
}

Codebook simplify(Codebook codebook) {
  unite_equal_children(codebook);
  for (Codebook::Level& level : codebook.levels) unite_thresholds(level.thresholds);
  drop_dead_levels(codebook);
  return codebook;
}

bool is_zero(const Codebook& codebook) {
  return std::all_of(codebook.lut.begin(), codebook.lut.end(), [](uint8_t entry) { return entry == 0; });
}

// A model has one codebook at least.
void drop_zeros(std::vector<Codebook>& codebooks) {
  const auto first = std::find_if_not(codebooks.begin(), codebooks.end(), is_zero);
  if (first == codebooks.end()) {
    codebooks.resize(1);
  } else {
    std::erase_if(codebooks, is_zero);
  }
}

template <typename T>
void append_repeated(std::vector<T>& to, const std::vector<T>& values, size_t times) {
  for (size_t i = 0; i < times; ++i) to.insert(to.end(), values.begin(), values.end());
}

// Levels that a codebook lacks come before its own ones, where they cost nothing: rows are at node 0 until a level
// splits. They name a column that is read anyway.
void append(TreeArrays& trees, std::vector<uint8_t>& lut, const Codebook& codebook) {
  const size_t n_missing = trees.depth - codebook.levels.size();
  const size_t times = size_t{1} << n_missing;
  trees.split_dims.insert(trees.split_dims.end(), n_missing,
                          codebook.levels.empty() ? 0 : codebook.levels.front().split_dim);
  trees.thresholds.insert(trees.thresholds.end(), times - 1, kNeverSplits);
  for (const Codebook::Level& level : codebook.levels) {
    trees.split_dims.push_back(level.split_dim);
    append_repeated(trees.thresholds, level.thresholds, times);
  }
  append_repeated(lut, codebook.lut, times);
}

Model assemble(const Model& model, const std::vector<Codebook>& codebooks) {
  TreeArrays arrays{.n_features = model.n_features(),
                    .n_codebooks = static_cast<int64_t>(codebooks.size()),
                    .depth = 1,
                    .split_dims = {},
                    .thresholds = {}};
  for (const Codebook& codebook : codebooks) {
    arrays.depth = std::max(arrays.depth, static_cast<int64_t>(codebook.levels.size()));
  }
  std::vector<uint8_t> lut;
  for (const Codebook& codebook : codebooks) append(arrays, lut, codebook);
  HashTrees trees(std::move(arrays));
  Tables tables = model.tables().with_lut(trees.n_codebooks(), trees.n_entries(), std::move(lut));
  return {std::move(trees), std::move(tables), model.linear(), model.report()};
}

}  // namespace

Model simplify_model(const Model& model) {
  if (!model.has_trees()) return model;
  const DefaultFloatEnvironment ieee;  // subnormal thresholds differ
  bool simple = true;
  for (int64_t c = 0; simple && c < model.n_codebooks(); ++c) simple = is_simple(model, c);
  if (simple) return model;
  std::vector<Codebook> codebooks;
  for (int64_t c = 0; c < model.n_codebooks(); ++c) codebooks.push_back(simplify(codebook_of(model, c)));
  drop_zeros(codebooks);
  Model result = assemble(model, codebooks);
  const bool unchanged =
      result.trees().depth() == model.trees().depth() && result.trees().split_dims() == model.trees().split_dims() &&
      result.trees().thresholds() == model.trees().thresholds() && result.tables().lut() == model.tables().lut();
  return unchanged ? model : result;
}

}  // namespace mithral::codegen
