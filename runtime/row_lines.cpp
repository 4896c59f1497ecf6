#include "runtime/row_lines.h"

#include <xmmintrin.h>

#include <algorithm>

namespace mithral {
namespace {

void stream_line(const float* from, float* to) {
  constexpr int64_t kStoreFloats = 4;
  for (int64_t i = 0; i < RowLines::kLineFloats; i += kStoreFloats) _mm_stream_ps(to + i, _mm_load_ps(from + i));
}

}  // namespace

int64_t RowLines::floats_before(const float* p) {
  return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p) / sizeof(float)) % kLineFloats;
}

void RowLines::begin() {
  const int64_t before = floats_before(first_row_);
  std::copy_n(first_row_ - before, before, memory_);
}

void RowLines::end(int64_t rows) {
  for (int64_t row = 0; row < rows && !one_tile_; ++row) {
    float* line = of(row) + kLineFloats;
    float* to = first_row_ + row * n_outputs_;
    const int64_t before = floats_before(to);
    if (row > 0) std::copy_n(of(row - 1), before, line);
    stream_line(line, to - before);
  }
  float* behind = first_row_ + rows * n_outputs_;
  std::copy_n(of(rows - 1), floats_before(behind), behind - floats_before(behind));
}

StreamFence::~StreamFence() { _mm_sfence(); }

}  // namespace mithral
