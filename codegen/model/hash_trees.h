// An encoder: one hash tree per codebook, with one split dim per level and one threshold per node (MADDNESS: Blalock &
// Guttag, "Multiplying Matrices Without Multiplying", ICML 2021, arXiv 2106.10860). For one row x:
//
//     node = 0
//     for l in 0..L-1:  node = 2*node + (x[split_dim[c][l]] > threshold[c][l][node])     // NaN compares false: left
//     code[c] = node
//
// Values are compared as float32, denormals kept, whatever the caller's MXCSR says.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace mithral {

// As a threshold: nothing is greater, so every row goes left.
inline constexpr float kNeverSplits = std::numeric_limits<float>::infinity();

// The arrays of trees, row-major, not validated yet.
struct TreeArrays {
  int64_t n_features = 0;           // D
  int64_t n_codebooks = 0;          // C
  int64_t depth = 0;                // L; K = 2^L leaves
  std::vector<int32_t> split_dims;  // (C, L)
  std::vector<float> thresholds;    // (C, K - 1); node i of level l at index 2^l - 1 + i; +inf: the node never splits
};

// Immutable, validated trees. Copies share the arrays.
class HashTrees {
 public:
  static constexpr int64_t kMaxFeatures = int64_t{1} << 28;  // a split dim is a 32-bit byte displacement
  static constexpr int64_t kMaxDepth = 8;                    // a code is one byte

  // Throws BadModel: a size out of range, an array of the wrong length, a split dim outside [0, D), a NaN threshold.
  // The message names the first offender.
  explicit HashTrees(TreeArrays arrays);

  int64_t n_features() const { return arrays_->n_features; }
  int64_t n_codebooks() const { return arrays_->n_codebooks; }
  int64_t depth() const { return arrays_->depth; }
  int64_t n_entries() const { return int64_t{1} << arrays_->depth; }

  const std::vector<int32_t>& split_dims() const { return arrays_->split_dims; }
  const std::vector<float>& thresholds() const { return arrays_->thresholds; }

  int32_t split_dim(int64_t codebook, int64_t level) const { return split_dims()[codebook * depth() + level]; }
  float threshold(int64_t codebook, int64_t level, int64_t node) const {
    return thresholds()[codebook * (n_entries() - 1) + (int64_t{1} << level) - 1 + node];
  }

  // Whether both are copies of one.
  bool shares_arrays_with(const HashTrees& other) const { return arrays_ == other.arrays_; }

 private:
  std::shared_ptr<const TreeArrays> arrays_;
};

}  // namespace mithral
