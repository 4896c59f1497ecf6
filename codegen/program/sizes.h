// Sizes of what memory holds, that the folders of codegen count in.
#pragma once

#include <cstdint>

namespace mithral::codegen {

inline constexpr int kFloatBytes = 4;  // those of an int32, too
inline constexpr int64_t kLineBytes = 64;
inline constexpr int64_t kLineFloats = kLineBytes / kFloatBytes;

}  // namespace mithral::codegen
