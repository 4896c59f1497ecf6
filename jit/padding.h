// Alignment of emitted code and of what is told about it.
#pragma once

#include <cstdint>

#include "codegen/model/multiples.h"

namespace mithral::jit {

inline constexpr uint8_t kInt3 = 0xcc;  // fills gaps in code: nothing may run into them

}  // namespace mithral::jit
