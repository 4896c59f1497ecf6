#include "codegen/simplify_model.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "codegen/encode/trees/tree_structure.h"
#include "codegen/model/float_environment.h"

namespace mithral::codegen {
namespace {

constexpr int kByteMax = 255;

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
  const ModelArrays& a = model.arrays();
  Codebook result;
  for (int64_t level = 0; level < a.depth; ++level) {
    const int64_t n_nodes = int64_t{1} << level;
    const auto first = a.thresholds.begin() + c * (model.n_leaves() - 1) + n_nodes - 1;
    result.levels.push_back({model.split_dim(c, level), {first, first + n_nodes}});
  }
  const int64_t table_bytes = model.n_leaves() * a.n_outputs;
  result.lut.assign(a.lut.begin() + c * table_bytes, a.lut.begin() + (c + 1) * table_bytes);
  return result;
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

// Codebooks that stay, and what their entries can still take up.
class KeptCodebooks {
 public:
  explicit KeptCodebooks(int64_t n_outputs) : n_outputs_(n_outputs) {}

  const std::vector<Codebook>& all() const { return codebooks_; }

  void keep(Codebook codebook) {
    std::vector<uint8_t> room(n_outputs_, kByteMax);
    for (size_t i = 0; i < codebook.lut.size(); ++i) {
      uint8_t& least = room[i % n_outputs_];
      least = std::min<uint8_t>(least, kByteMax - codebook.lut[i]);
    }
    codebooks_.push_back(std::move(codebook));
    rooms_.push_back(std::move(room));
  }

  // Whether `constant` (M) could be added to the sums of what is kept; then it was. Where groups are full already
  // (lut_groups.h) one more of them may be the price, which is that of the look-up saved.
  bool add(std::vector<uint8_t> constant) {
    for (int64_t m = 0; m < n_outputs_; ++m) {
      int64_t room = 0;
      for (const auto& rooms : rooms_) room += rooms[m];
      if (codebooks_.empty() || room < constant[m]) return false;
    }
    for (const size_t c : roomiest_first()) add_to(c, constant);
    return true;
  }

 private:
  // Those at the front take up most constants as a whole, so that few codebooks grow.
  std::vector<size_t> roomiest_first() const {
    std::vector<size_t> order(codebooks_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    const auto least_room = [&](size_t c) { return *std::min_element(rooms_[c].begin(), rooms_[c].end()); };
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return least_room(a) > least_room(b); });
    return order;
  }

  // Adds what there is room for, and leaves the rest in `constant`.
  void add_to(size_t c, std::vector<uint8_t>& constant) {
    std::vector<uint8_t> taken(n_outputs_);
    for (int64_t m = 0; m < n_outputs_; ++m) {
      taken[m] = std::min(constant[m], rooms_[c][m]);
      constant[m] -= taken[m];
      rooms_[c][m] -= taken[m];
    }
    std::vector<uint8_t>& lut = codebooks_[c].lut;
    for (size_t i = 0; i < lut.size(); ++i) lut[i] += taken[i % n_outputs_];
  }

  int64_t n_outputs_;
  std::vector<Codebook> codebooks_;
  std::vector<std::vector<uint8_t>> rooms_;  // [codebook][output]: 255 less the largest entry
};

// Small constants first: that way the most of them find room.
std::vector<Codebook> fold_constants(std::vector<Codebook> codebooks, int64_t n_outputs) {
  KeptCodebooks kept(n_outputs);
  std::vector<Codebook> constants;
  for (Codebook& codebook : codebooks) {
    if (codebook.levels.empty()) {
      constants.push_back(std::move(codebook));
    } else {
      kept.keep(std::move(codebook));
    }
  }
  const auto largest = [](const Codebook& c) { return *std::max_element(c.lut.begin(), c.lut.end()); };
  std::stable_sort(constants.begin(), constants.end(),
                   [&](const Codebook& a, const Codebook& b) { return largest(a) < largest(b); });
  for (Codebook& constant : constants) {
    if (!kept.add(constant.lut)) kept.keep(std::move(constant));
  }
  return kept.all();
}

template <typename T>
void append_repeated(std::vector<T>& to, const std::vector<T>& values, size_t times) {
  for (size_t i = 0; i < times; ++i) to.insert(to.end(), values.begin(), values.end());
}

// Levels that a codebook lacks come before its own ones, where they cost nothing: rows are at node 0 until a level
// splits. They name a column that is read anyway.
void append(ModelArrays& to, const Codebook& codebook) {
  const size_t n_missing = to.depth - codebook.levels.size();
  const size_t times = size_t{1} << n_missing;
  to.split_dims.insert(to.split_dims.end(), n_missing, codebook.levels.empty() ? 0 : codebook.levels.front().split_dim);
  to.thresholds.insert(to.thresholds.end(), times - 1, kNeverSplits);
  for (const Codebook::Level& level : codebook.levels) {
    to.split_dims.push_back(level.split_dim);
    append_repeated(to.thresholds, level.thresholds, times);
  }
  append_repeated(to.lut, codebook.lut, times);
}

ModelArrays assemble(const Model& model, const std::vector<Codebook>& codebooks) {
  ModelArrays arrays{.n_features = model.n_features(),
                     .n_outputs = model.n_outputs(),
                     .n_codebooks = static_cast<int64_t>(codebooks.size()),
                     .depth = 1,
                     .split_dims = {},
                     .thresholds = {},
                     .lut = {},
                     .scale = model.arrays().scale,
                     .offset = model.arrays().offset};
  for (const Codebook& codebook : codebooks) {
    arrays.depth = std::max(arrays.depth, static_cast<int64_t>(codebook.levels.size()));
  }
  for (const Codebook& codebook : codebooks) append(arrays, codebook);
  return arrays;
}

}  // namespace

Model simplify_model(const Model& model) {
  const DefaultFloatEnvironment ieee;  // subnormal thresholds differ
  std::vector<Codebook> codebooks;
  for (int64_t c = 0; c < model.n_codebooks(); ++c) codebooks.push_back(simplify(codebook_of(model, c)));
  ModelArrays arrays = assemble(model, fold_constants(std::move(codebooks), model.n_outputs()));
  const ModelArrays& given = model.arrays();
  const bool unchanged = arrays.depth == given.depth && arrays.split_dims == given.split_dims &&
                         arrays.thresholds == given.thresholds && arrays.lut == given.lut;
  return unchanged ? model : Model(std::move(arrays), model.report());
}

}  // namespace mithral::codegen
