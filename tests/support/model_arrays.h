// The arrays of a model of hash trees in one place, for tests that change some of them.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/model/model.h"

namespace mithral::testing {

struct ModelArrays {
  int64_t n_features = 0;   // D
  int64_t n_outputs = 0;    // M
  int64_t n_codebooks = 0;  // C
  int64_t depth = 0;        // L; K = 2^L leaves

  std::vector<int32_t> split_dims;  // (C, L)
  std::vector<float> thresholds;    // (C, K - 1)
  std::vector<uint8_t> lut;         // (C, K, M)
  std::vector<float> scale;         // (M)
  std::vector<float> offset;        // (M)
  LinearDims linear = {};

  // Throws BadModel as the parts do.
  operator Model() const {
    HashTrees trees({.n_features = n_features,
                     .n_codebooks = n_codebooks,
                     .depth = depth,
                     .split_dims = split_dims,
                     .thresholds = thresholds});
    return {std::move(trees),
            Tables({.n_codebooks = n_codebooks,
                    .n_entries = int64_t{1} << depth,
                    .lut = lut,
                    .scale = scale,
                    .offset = offset}),
            linear};
  }
};

inline ModelArrays arrays_of(const Model& model) {
  return {.n_features = model.n_features(),
          .n_outputs = model.n_outputs(),
          .n_codebooks = model.n_codebooks(),
          .depth = model.trees().depth(),
          .split_dims = model.trees().split_dims(),
          .thresholds = model.trees().thresholds(),
          .lut = model.tables().lut(),
          .scale = model.tables().scale(),
          .offset = model.tables().offset(),
          .linear = model.linear()};
}

// The same tables, for codes that are given.
inline Model given_codes(const Model& model) {
  return {GivenCodes{model.n_codebooks(), model.n_entries()}, model.tables()};
}

}  // namespace mithral::testing
