// Random numbers that are the same with every compiler and standard library.
#pragma once

#include <cmath>
#include <cstdint>

#include "train/matrix.h"

namespace mithral::train_internal {

// SplitMix64 (Steele, Lea & Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // 0 .. bound - 1; the modulo's bias is below bound / 2^64.
  uint64_t below(uint64_t bound) { return next() % bound; }

 private:
  uint64_t state_;
};

// A (from, to) matrix of +-1 / sqrt(to). Rows times it keep their squared lengths and distances in expectation, with a
// relative deviation of about sqrt(2 / to): few columns then stand in for many (Achlioptas, "Database-friendly random
// projections", 2003).
inline MatrixD random_signs(int64_t from, int64_t to, uint64_t seed = 0) {
  SplitMix64 random(seed);
  MatrixD signs(from, to);
  const double unit = 1 / std::sqrt(static_cast<double>(to));
  for (double& sign : signs.reshaped()) sign = (random.next() >> 63) != 0 ? unit : -unit;
  return signs;
}

}  // namespace mithral::train_internal
