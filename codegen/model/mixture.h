// How many of each kind of part a model has.
#pragma once

#include <cstdint>

namespace mithral {

struct Mixture {
  int64_t n_codebooks = 0;  // C
  int64_t n_linear = 0;     // S
  bool operator==(const Mixture&) const = default;
};

}  // namespace mithral
