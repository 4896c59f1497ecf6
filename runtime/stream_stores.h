// Stores past the caches, for outputs that would not stay there until they are read.
//
// On an Ice Lake they write 20 to 25 GB/s to memory where ordinary stores write 9, because those read every line first;
// but only if they come line by line, and if no load that is under way has the page offset of a store before it. So
// outputs are computed into scratch, half a page out of step with where they go, and copied from there.
#pragma once

#include <cstdint>

#include "codegen/matrix_view.h"

namespace mithral {

inline constexpr int64_t kPageFloats = 1024;

// Where `rows` rows of `cols` values wait to be copied to `to`: same columns, other page offsets.
struct StreamScratch {
  static int64_t row_stride(int64_t cols, MatrixView<const float> to);  // elements
  static int64_t n_floats(int64_t rows, int64_t cols) { return rows * (cols + kPageFloats) + 2 * kPageFloats; }

  // In memory of at least n_floats.
  static MatrixView<float> in(float* memory, MatrixView<const float> to);
};

// Copies the rows of `from` into those of `to`, row-major both. Addresses are multiples of a value's size.
void stream_rows(MatrixView<const float> from, MatrixView<float> to);

// Such stores are ordered by nothing else: to be called before another thread may read what they wrote.
void finish_streaming();

}  // namespace mithral
