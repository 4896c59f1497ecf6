// The size of a float, and values -> constant bytes.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace mithral {

inline constexpr int64_t kFloatBytes = sizeof(float);  // and those of an int32

}  // namespace mithral

namespace mithral::codegen {

template <typename T>
std::vector<uint8_t> bytes_of(const std::vector<T>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace mithral::codegen
