// What kernels read: rows of any of a few element types, where they lie. All of them are exact as float32, and that is
// their meaning: a row of another type gives what the same values in float32 give.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "codegen/model/matrix_view.h"

namespace mithral {

// 16-bit floats by their bits: IEEE 754's binary16, and the upper half of a float32.
struct Float16 {
  uint16_t bits;
};
struct Bfloat16 {
  uint16_t bits;
};

enum class InputType : uint8_t { kFloat32, kInt8, kUint8, kInt16, kFloat16, kBfloat16 };
inline constexpr InputType kInputTypes[] = {InputType::kFloat32, InputType::kInt8,    InputType::kUint8,
                                            InputType::kInt16,   InputType::kFloat16, InputType::kBfloat16};

constexpr const char* input_type_name(InputType type) {
  constexpr const char* kNames[] = {"float32", "int8", "uint8", "int16", "float16", "bfloat16"};
  return kNames[static_cast<size_t>(type)];
}

constexpr int element_bytes(InputType type) {
  switch (type) {
    case InputType::kFloat32: return 4;
    case InputType::kInt16:
    case InputType::kFloat16:
    case InputType::kBfloat16: return 2;
    case InputType::kInt8:
    case InputType::kUint8: return 1;
  }
  return 0;
}

template <typename T>
struct InputTypeOf;  // of an element type that kernels read
template <>
struct InputTypeOf<float> : std::integral_constant<InputType, InputType::kFloat32> {};
template <>
struct InputTypeOf<int8_t> : std::integral_constant<InputType, InputType::kInt8> {};
template <>
struct InputTypeOf<uint8_t> : std::integral_constant<InputType, InputType::kUint8> {};
template <>
struct InputTypeOf<int16_t> : std::integral_constant<InputType, InputType::kInt16> {};
template <>
struct InputTypeOf<Float16> : std::integral_constant<InputType, InputType::kFloat16> {};
template <>
struct InputTypeOf<Bfloat16> : std::integral_constant<InputType, InputType::kBfloat16> {};

template <typename T>
concept InputElement = requires {
  InputTypeOf<T>::value;
};

// The same value; NaN stays NaN, quiet if it was binary16's.
inline float to_float(float value) { return value; }
inline float to_float(int8_t value) { return value; }
inline float to_float(uint8_t value) { return value; }
inline float to_float(int16_t value) { return value; }
inline float to_float(Bfloat16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }
inline float to_float(Float16 value) {
  constexpr uint32_t kInfiniteExponent = 31, kQuiet = 0x400000;
  const uint32_t sign = uint32_t{value.bits} >> 15 << 31, mantissa = value.bits & 0x3ffu;
  const uint32_t exponent = (value.bits >> 10) & kInfiniteExponent;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // zero, or a subnormal of binary16
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  if (exponent < kInfiniteExponent) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  return std::bit_cast<float>(sign | 0x7f800000u | mantissa << 13 | (mantissa == 0 ? 0 : kQuiet));
}

// A MatrixView that carries its element type with it. Strides count elements, as there.
struct InputView {
  const void* data = nullptr;
  InputType type = InputType::kFloat32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;
  int64_t col_stride = 1;

  InputView() = default;
  template <typename T>
  requires InputElement<std::remove_const_t<T>> InputView(MatrixView<T> v)
      : data(v.data),
        type(InputTypeOf<std::remove_const_t<T>>::value),
        rows(v.rows),
        cols(v.cols),
        row_stride(v.row_stride),
        col_stride(v.col_stride) {}

  InputView row_range(int64_t first, int64_t count) const {
    InputView result = *this;
    result.data = static_cast<const char*>(data) + first * row_stride * element_bytes(type);
    result.rows = count;
    return result;
  }

  // Calls `use` with the MatrixView<const T> that this is.
  template <typename Use>
  decltype(auto) visit(Use&& use) const {
    switch (type) {
      case InputType::kInt8: return use(as<int8_t>());
      case InputType::kUint8: return use(as<uint8_t>());
      case InputType::kInt16: return use(as<int16_t>());
      case InputType::kFloat16: return use(as<Float16>());
      case InputType::kBfloat16: return use(as<Bfloat16>());
      case InputType::kFloat32: break;
    }
    return use(as<float>());
  }

  // The view of a known element type.
  template <typename T>
  MatrixView<const T> as() const {
    return {static_cast<const T*>(data), rows, cols, row_stride, col_stride};
  }
};

}  // namespace mithral
