// Stores past the caches, for outputs that would not stay there until they are read.
#pragma once

#include "codegen/matrix_view.h"

namespace mithral {

// Copies the rows of `from` into those of `to`, row-major both. The values' addresses are multiples of their size.
void stream_rows(MatrixView<const float> from, MatrixView<float> to);

// Such stores are ordered by nothing else: to be called before another thread may read what they wrote.
void finish_streaming();

}  // namespace mithral
