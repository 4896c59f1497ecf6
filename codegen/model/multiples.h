// Whole multiples. Values are not negative.
#pragma once

#include <type_traits>

namespace mithral {

template <typename T>
constexpr T divide_up(T value, std::type_identity_t<T> divisor) {
  return (value + divisor - 1) / divisor;
}

template <typename T>
constexpr T round_up(T value, std::type_identity_t<T> multiple) {
  return divide_up(value, multiple) * multiple;
}

template <typename T>
constexpr T round_down(T value, std::type_identity_t<T> multiple) {
  return value / multiple * multiple;
}

}  // namespace mithral
