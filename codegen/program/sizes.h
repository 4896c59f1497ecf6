// Sizes of what memory holds.
#pragma once

#include <cstdint>

namespace mithral {

inline constexpr int64_t kFloatBytes = sizeof(float);  // and those of an int32
inline constexpr int64_t kLineBytes = 64;
inline constexpr int64_t kLineFloats = kLineBytes / kFloatBytes;

}  // namespace mithral
