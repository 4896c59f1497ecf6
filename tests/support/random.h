// Seeded test data: models and inputs with hard values at fixed steps.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "codegen/model/reference.h"
#include "tests/support/model_arrays.h"

namespace mithral::testing {

struct Shape {
  int64_t n_features = 1;
  int64_t n_outputs = 1;
  int64_t n_codebooks = 1;
  int64_t depth = 4;
};

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Values where kernels go wrong: not-a-number, infinities, signed zeros, denormals, the largest floats.
inline constexpr float kHardValues[] = {kNaN,
                                        kInfinity,
                                        -kInfinity,
                                        0.0f,
                                        -0.0f,
                                        std::numeric_limits<float>::denorm_min(),
                                        -std::numeric_limits<float>::denorm_min(),
                                        std::numeric_limits<float>::max(),
                                        std::numeric_limits<float>::lowest(),
                                        std::numeric_limits<float>::min()};

// Small integers, so that inputs often tie with thresholds; every 7th value is a hard one.
// Only the generator's raw numbers are used: the standard's distributions differ between libraries, and golden files
// must not.
inline std::vector<float> random_input(std::mt19937_64& rng, int64_t count) {
  std::vector<float> values(count);
  for (int64_t i = 0; i < count; ++i) {
    const bool hard = i % 7 == 3;
    values[i] =
        hard ? kHardValues[rng() % std::size(kHardValues)] : static_cast<float>(static_cast<int>(rng() % 9) - 4);
  }
  return values;
}

// How the entries of a random table are distributed.
enum class Entries {
  kAny,    // 0 to 255: almost every codebook needs a byte sum of its own
  kSmall,  // 0 to 15: many codebooks share a byte sum
  kMixed,  // large, small and constant ones
};

inline uint8_t random_entry(std::mt19937_64& rng, Entries entries, int64_t codebook) {
  switch (entries) {
    case Entries::kAny: return static_cast<uint8_t>(rng() % 256);
    case Entries::kSmall: return static_cast<uint8_t>(rng() % 16);
    case Entries::kMixed: break;
  }
  const int limits[] = {256, 8, 1, 100, 32};
  return static_cast<uint8_t>(rng() % limits[codebook % 5]);
}

inline ModelArrays random_arrays(std::mt19937_64& rng, const Shape& shape, Entries entries = Entries::kMixed) {
  ModelArrays a{.n_features = shape.n_features,
                .n_outputs = shape.n_outputs,
                .n_codebooks = shape.n_codebooks,
                .depth = shape.depth,
                .split_dims = {},
                .thresholds = {},
                .lut = {},
                .scale = {},
                .offset = {}};
  const int64_t leaves = int64_t{1} << shape.depth;
  for (int64_t i = 0; i < shape.n_codebooks * shape.depth; ++i) {
    a.split_dims.push_back(static_cast<int32_t>(rng() % shape.n_features));
  }
  for (int64_t i = 0; i < shape.n_codebooks * (leaves - 1); ++i) {
    const bool hard = rng() % 8 == 0;
    float t = hard ? kHardValues[1 + rng() % (std::size(kHardValues) - 1)]
                   : static_cast<float>(static_cast<int>(rng() % 7) - 3);
    a.thresholds.push_back(t);
  }
  for (int64_t c = 0; c < shape.n_codebooks; ++c) {
    for (int64_t i = 0; i < leaves * shape.n_outputs; ++i) a.lut.push_back(random_entry(rng, entries, c));
  }
  const auto uniform = [&rng] { return static_cast<float>(static_cast<int>(rng() % 4001) - 2000) / 1000.0f; };
  for (int64_t m = 0; m < shape.n_outputs; ++m) {
    a.scale.push_back(m % 5 == 4 ? 1e-41f : uniform());  // every 5th a denormal
    a.offset.push_back(uniform());
  }
  return a;
}

// Tables of any number of entries K, which trees cannot have.
inline Tables random_tables(std::mt19937_64& rng, int64_t n_codebooks, int64_t n_entries, int64_t n_outputs,
                            Entries entries = Entries::kMixed) {
  TableArrays a{.n_codebooks = n_codebooks, .n_entries = n_entries, .lut = {}, .scale = {}, .offset = {}};
  for (int64_t c = 0; c < n_codebooks; ++c) {
    for (int64_t i = 0; i < n_entries * n_outputs; ++i) a.lut.push_back(random_entry(rng, entries, c));
  }
  for (int64_t m = 0; m < n_outputs; ++m) {
    a.scale.push_back(m % 5 == 4 ? 1e-41f : static_cast<float>(static_cast<int>(rng() % 4001) - 2000) / 1000.0f);
    a.offset.push_back(static_cast<float>(static_cast<int>(rng() % 4001) - 2000) / 10.0f);
  }
  return Tables(std::move(a));
}

// How large the weights of linear dims are.
enum class Weights {
  kAny,      // -128 to 127: sums of 16 bits hold one four of dims
  kHalf,     // -63 to 63: two
  kSmall,    // -16 to 16: four
  kExtreme,  // -128 or 127
};

inline int8_t random_weight(std::mt19937_64& rng, Weights weights) {
  const auto within = [&rng](int largest) {
    return static_cast<int8_t>(static_cast<int>(rng() % (2 * largest + 1)) - largest);
  };
  switch (weights) {
    case Weights::kHalf: return within(63);
    case Weights::kSmall: return within(16);
    case Weights::kExtreme: return rng() % 2 == 0 ? -128 : 127;
    case Weights::kAny: break;
  }
  return static_cast<int8_t>(rng());
}

// Steps and zeros for which random_input quantises to everything between 0 and 127, halves among it. Dims anywhere, or
// of adjacent columns as far as there are some, or beginning with those.
inline LinearDims random_linear(std::mt19937_64& rng, int64_t n_dims, int64_t n_features, int64_t n_outputs,
                                Weights weights) {
  LinearArrays a{.n_features = n_features, .n_outputs = n_outputs, .shift = static_cast<int64_t>(rng() % 8)};
  constexpr float kSteps[] = {0.5f, 1, 15.5f, -15.5f, 16.3f, 1e-3f, 1e30f, 0, 40},
                  kZeros[] = {0, 63.5f, 64, 0.5f, -3, 1e-40f, 126.5f};
  const int64_t kind = static_cast<int64_t>(rng() % 3), n_adjacent = kind == 0 ? 0 : kind == 1 ? n_dims : n_dims / 2;
  for (int64_t s = 0; s < n_dims; ++s) {
    const bool follows = s > 0 && s < n_adjacent && a.dims.back() + 1 < n_features;
    a.dims.push_back(follows ? a.dims.back() + 1 : static_cast<int32_t>(rng() % n_features));
    a.inverse_step.push_back(kSteps[rng() % std::size(kSteps)]);
    a.zero.push_back(kZeros[rng() % std::size(kZeros)]);
  }
  for (int64_t i = 0; i < n_dims * n_outputs; ++i) a.weights.push_back(random_weight(rng, weights));
  return LinearDims(std::move(a));
}

// The same model with outputs between -30 and 160 or so of such rows: codes of latents, some of them beyond 0 and 127.
inline Model with_codes_as_outputs(std::mt19937_64& rng, ModelArrays a) {
  constexpr int64_t kRows = 100;
  constexpr float kLow = -30, kHigh = 160;
  const std::vector<float> x = random_input(rng, kRows * a.n_features);
  std::vector<int32_t> sums(kRows * a.n_outputs);
  reference_sums(Model(a), row_major(x.data(), kRows, a.n_features), row_major(sums.data(), kRows, a.n_outputs));
  for (int64_t m = 0; m < a.n_outputs; ++m) {
    float least = static_cast<float>(sums[m]), most = least;
    for (int64_t i = 1; i < kRows; ++i) {
      least = std::min(least, static_cast<float>(sums[i * a.n_outputs + m]));
      most = std::max(most, static_cast<float>(sums[i * a.n_outputs + m]));
    }
    a.scale[m] = (kHigh - kLow) / std::max(1.0f, most - least);
    a.offset[m] = kLow - least * a.scale[m];
  }
  return a;
}

// `n_latents` of them, of trees, of linear dims or of both, behind `n_dims` linear dims, a multiple of four.
inline LinearDims random_latents(std::mt19937_64& rng, int64_t n_latents, int64_t n_dims, int64_t n_features,
                                 int64_t n_outputs, Weights weights) {
  const int64_t n_codebooks = static_cast<int64_t>(rng() % 3) * 3, n_inner = n_codebooks == 0 ? 9 : rng() % 2 * 20;
  ModelArrays inner = random_arrays(rng, {n_features, n_latents, n_codebooks, 3});
  inner.linear = random_linear(rng, n_inner, n_features, n_latents, Weights::kSmall);
  const LinearDims dims = random_linear(rng, n_dims, n_features, n_outputs, weights);
  LinearArrays a{.n_features = n_features,
                 .n_outputs = n_outputs,
                 .shift = dims.shift(),
                 .dims = dims.dims(),
                 .inverse_step = dims.inverse_step(),
                 .zero = dims.zero(),
                 .weights = dims.weights(),
                 .latents = std::make_shared<const Model>(with_codes_as_outputs(rng, std::move(inner)))};
  for (int64_t i = 0; i < n_latents * n_outputs; ++i) a.weights.push_back(random_weight(rng, weights));
  return LinearDims(std::move(a));
}

// Replaces thresholds so that trees have what training leaves in them: levels that never split, that share a threshold,
// or whose neighbours do; subtrees that no row gets to.
inline void structure_trees(std::mt19937_64& rng, ModelArrays& a) {
  for (int64_t c = 0; c < a.n_codebooks; ++c) {
    float* tree = &a.thresholds[c * ((int64_t{1} << a.depth) - 1)];
    for (int64_t level = 0; level < a.depth; ++level) {
      const int64_t nodes = int64_t{1} << level;
      float* thresholds = tree + nodes - 1;
      const std::vector<float> before(thresholds, thresholds + nodes);
      const uint64_t kind = rng() % 8;
      const int64_t run = kind == 1 ? nodes : kind >= 2 && kind < 5 ? std::min<int64_t>(nodes, 4 << (kind - 2)) : 1;
      for (int64_t node = 0; node < nodes; ++node) {
        // Runs end where those of the slots do, into which node numbers go negated.
        thresholds[node] = kind == 0 ? kInfinity : before[(node + run - 1) / run % (nodes / run)];
      }
    }
    if (rng() % 3 == 0) tree[rng() % std::min<int64_t>(7, (int64_t{1} << a.depth) - 1)] = kInfinity;
  }
}

// Copies parts of trees and tables, so that splits have no effect: what is below the left child of some nodes to below
// the right one; of every third codebook, one leaf's entries to all.
inline void repeat_leaves(std::mt19937_64& rng, ModelArrays& a) {
  const int64_t leaves = int64_t{1} << a.depth;
  for (int64_t c = 0; c < a.n_codebooks; ++c) {
    uint8_t* lut = &a.lut[c * leaves * a.n_outputs];
    const auto copy_leaf = [&](int64_t from, int64_t to) {
      std::copy_n(lut + from * a.n_outputs, a.n_outputs, lut + to * a.n_outputs);
    };
    const auto kind = rng() % 3;
    for (int64_t leaf = 1; kind == 0 && leaf < leaves; ++leaf) copy_leaf(0, leaf);
    for (int copies = 0; kind == 1 && copies < 4; ++copies) {
      const int64_t level = static_cast<int64_t>(rng() % a.depth), node = static_cast<int64_t>(rng() % (1 << level));
      for (int64_t below = level + 1; below < a.depth; ++below) {
        const int64_t half = int64_t{1} << (below - level - 1);
        float* left = &a.thresholds[c * (leaves - 1) + (int64_t{1} << below) - 1 + 2 * node * half];
        std::copy_n(left, half, left + half);
      }
      const int64_t half = leaves >> (level + 1);
      for (int64_t i = 0; i < half; ++i) copy_leaf(2 * node * half + i, (2 * node + 1) * half + i);
    }
  }
}

inline Model structured_model(uint64_t seed, const Shape& shape, Entries entries = Entries::kMixed) {
  std::mt19937_64 rng(seed);
  ModelArrays arrays = random_arrays(rng, shape, entries);
  structure_trees(rng, arrays);
  return Model(std::move(arrays));
}

inline Model random_model(uint64_t seed, const Shape& shape, Entries entries = Entries::kMixed) {
  std::mt19937_64 rng(seed);
  return Model(random_arrays(rng, shape, entries));
}

}  // namespace mithral::testing
