// How many of each kind of part a model has.
#pragma once

#include <cstdint>

namespace mithral {

struct Mixture {
  int64_t n_codebooks = 0;  // C
  int64_t n_linear = 0;     // S
  int64_t n_latents = 0;    // r
  int64_t latent_dims = 0;  // linear dims that latents are made of
  bool operator==(const Mixture&) const = default;
};

// The reading of trees that were tried: mixtures that take as long as they do are found by it.
struct TreesRead {
  int64_t n_codebooks = 0;  // that split
  int64_t n_columns = 0;    // different ones
  int64_t n_lines = 0;      // cache lines of a row-major row with these
};

}  // namespace mithral
