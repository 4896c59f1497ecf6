// Sizes of what memory holds.
#pragma once

#include <cstdint>

#include "codegen/model/cache_line.h"

namespace mithral {

inline constexpr int64_t kFloatBytes = sizeof(float);  // and those of an int32
inline constexpr int64_t kLineFloats = kFloatsOfLine;
inline constexpr int64_t kLineBytes = kLineFloats * kFloatBytes;

}  // namespace mithral
