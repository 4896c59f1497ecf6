// The cache line of a row-major row of float32 that a column is in: what it costs to read.
#pragma once

#include <cstdint>

namespace mithral {

// When rows are a multiple of a line apart. NumPy's large arrays start 16 bytes into a line: malloc puts its header in
// front of them.
inline constexpr int32_t kFloatsOfLine = 16, kFirstFloat = 4;
constexpr int32_t line_of(int32_t column) { return (column + kFirstFloat) / kFloatsOfLine; }

}  // namespace mithral
