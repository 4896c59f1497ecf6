// Alignment of emitted code and of what is told about it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mithral::jit {

inline constexpr uint8_t kInt3 = 0xcc;  // fills gaps in code: nothing may run into them

constexpr size_t round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace mithral::jit
