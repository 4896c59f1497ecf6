// Seeded input of every type that kernels read, and models that split where it is hard to be exact for that type.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "codegen/model/input_view.h"
#include "tests/support/random.h"

namespace mithral::testing {

// The ends of the type's range and what is next to them, zeros; of floats also NaN, infinities and subnormals.
template <typename T>
std::vector<T> hard_values() {
  if constexpr (std::is_same_v<T, float>) {
    return {std::begin(kHardValues), std::end(kHardValues)};
  } else if constexpr (std::is_integral_v<T>) {
    using Limits = std::numeric_limits<T>;
    return {Limits::min(), Limits::min() + 1, Limits::max() - 1, Limits::max(), T(0), T(-1), T(1), T(127), T(128)};
  } else {
    constexpr bool kHalf = std::is_same_v<T, Float16>;
    constexpr uint16_t kInfinite = kHalf ? 0x7c00 : 0x7f80, kSign = 0x8000;
    std::vector<T> result;
    for (const int magnitude : {0, 1, 2, 0x40, kInfinite >> 1, kInfinite - 1, +kInfinite, kInfinite + 1, 0x7fff}) {
      result.push_back({static_cast<uint16_t>(magnitude)});
      result.push_back({static_cast<uint16_t>(magnitude | kSign)});
    }
    return result;
  }
}

// Small integers, exactly.
template <typename T>
T small_value(int value) {
  if constexpr (std::is_arithmetic_v<T>) {
    return static_cast<T>(value);
  } else if constexpr (std::is_same_v<T, Bfloat16>) {
    return {static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(value)) >> 16)};
  } else {
    const uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(value));
    const uint32_t magnitude = value == 0 ? 0 : ((bits & 0x7fffffffu) - (112u << 23)) >> 13;
    return {static_cast<uint16_t>((bits >> 16 & 0x8000u) | magnitude)};
  }
}

// Of small integers, hard values and any bits, each now and then.
template <typename T>
T typed_value(std::mt19937_64& rng) {
  static const std::vector<T> hard = hard_values<T>();
  const uint64_t kind = rng() % 4;
  if (kind == 0) return hard[rng() % hard.size()];
  if (kind == 1) {
    const uint64_t bits = rng();
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  return small_value<T>(static_cast<int>(rng() % 9) - (std::is_unsigned_v<T> ? 0 : 4));
}

template <typename T>
std::vector<T> typed_input(std::mt19937_64& rng, int64_t count) {
  std::vector<T> values(count);
  for (T& value : values) value = typed_value<T>(rng);
  return values;
}

// On a value of the type, just beside or between two of them, or beyond its range.
template <typename T>
float typed_threshold(std::mt19937_64& rng) {
  float value = to_float(typed_value<T>(rng));
  if (std::isnan(value)) value = 0;
  switch (rng() % 8) {
    case 0: return std::nextafter(value, kInfinity);
    case 1: return std::nextafter(value, -kInfinity);
    case 2: return value + 0.5f;
    case 3: return value - 0.5f;
    case 4: return rng() % 2 == 0 ? value * 1000 - 1 : kInfinity;
    case 5: return rng() % 4 == 0 ? -kInfinity : kInfinity;
    default: return value;
  }
}

template <typename T>
Model typed_model(uint64_t seed, const Shape& shape) {
  std::mt19937_64 rng(seed);
  ModelArrays arrays = random_arrays(rng, shape);
  for (float& threshold : arrays.thresholds) threshold = typed_threshold<T>(rng);
  if (seed % 3 == 0) structure_trees(rng, arrays);
  return Model(std::move(arrays));
}

}  // namespace mithral::testing
