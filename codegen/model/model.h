// The trained artefact: hash trees, tables, scales. What a kernel computes is defined here and nowhere else.
//
// For one row x, with one split dim per level and one threshold per node (MADDNESS: Blalock & Guttag, "Multiplying
// Matrices Without Multiplying", ICML 2021, arXiv 2106.10860):
//
//     node = 0
//     for l in 0..L-1:  node = 2*node + (x[split_dim[c][l]] > threshold[c][l][node])     // NaN compares false: left
//     code[c] = node
//     acc[m]  = sum over c of lut[c][code[c]][m]                                         // exact integers
//     y[m]    = float(acc[m]) * scale[m] + offset[m]                                     // rounded after each step
//
// Floating point follows IEEE 754 with round-to-nearest-even and with denormals kept, whatever the caller's MXCSR says.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codegen/model/matrix_view.h"

namespace mithral {

// Figures of a training run, measured on rows held out of it; empty for a model built from arrays. train.h names the
// keys.
using Report = std::map<std::string, double>;

// The arrays of a model, row-major, not validated yet.
struct ModelArrays {
  int64_t n_features = 0;   // D
  int64_t n_outputs = 0;    // M
  int64_t n_codebooks = 0;  // C
  int64_t depth = 0;        // L; K = 2^L leaves

  std::vector<int32_t> split_dims;  // (C, L)
  std::vector<float> thresholds;    // (C, K - 1); node i of level l at index 2^l - 1 + i; +inf: the node never splits
  std::vector<uint8_t> lut;         // (C, K, M)
  std::vector<float> scale;         // (M)
  std::vector<float> offset;        // (M), bias included
};

// An immutable, validated model. Copies share the arrays.
class Model {
 public:
  static constexpr int64_t kMaxFeatures = int64_t{1} << 28;  // a split dim is a 32-bit byte displacement
  static constexpr int64_t kMaxOutputs = int64_t{1} << 24;
  static constexpr int64_t kMaxCodebooks = 256;  // 256 * 255 still fits the 16-bit accumulators
  static constexpr int64_t kMaxDepth = 8;        // a code is one byte
  // Every routine that looks up holds a copy (two are made with a kernel), reached with 32-bit displacements.
  static constexpr int64_t kMaxTableBytes = int64_t{1} << 29;

  // Throws BadModel: a size out of range, an array of the wrong length, a split dim outside [0, D), a NaN threshold, a
  // scale or offset that is not finite. The message names the first offender.
  explicit Model(ModelArrays arrays, Report report = {});

  // Bytes of the tables as kernels hold them: an entry per leaf, and at least kMinTableEntries, for every codebook and
  // output. At most kMaxTableBytes.
  static constexpr int64_t kMinTableEntries = 16;
  static int64_t table_bytes(int64_t n_codebooks, int64_t n_outputs, int64_t depth) {
    return n_codebooks * n_outputs * std::max(kMinTableEntries, int64_t{1} << depth);
  }

  int64_t n_features() const { return arrays_->n_features; }
  int64_t n_outputs() const { return arrays_->n_outputs; }
  int64_t n_codebooks() const { return arrays_->n_codebooks; }
  int64_t depth() const { return arrays_->depth; }
  int64_t n_leaves() const { return int64_t{1} << arrays_->depth; }

  const ModelArrays& arrays() const { return *arrays_; }
  const Report& report() const { return report_; }

  int32_t split_dim(int64_t codebook, int64_t level) const { return arrays_->split_dims[codebook * depth() + level]; }
  float threshold(int64_t codebook, int64_t level, int64_t node) const {
    return arrays_->thresholds[codebook * (n_leaves() - 1) + (int64_t{1} << level) - 1 + node];
  }
  uint8_t lut(int64_t codebook, int64_t leaf, int64_t output) const {
    return arrays_->lut[(codebook * n_leaves() + leaf) * n_outputs() + output];
  }

 private:
  std::shared_ptr<const ModelArrays> arrays_;
  Report report_;
};

// The model with `bias` (M) added to its offset, rounded to float32. Throws InvalidArgument for another length, or a
// value or a sum that is not finite.
Model with_bias(const Model& model, std::span<const float> bias);

}  // namespace mithral
