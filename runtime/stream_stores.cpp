#include "runtime/stream_stores.h"

#include <emmintrin.h>

#include <algorithm>

namespace mithral {
namespace {

constexpr int64_t kLineFloats = 16;    // of a cache line
constexpr int64_t kSegmentFloats = 4;  // of a store

// Line by line, or lines would leave the CPU half written. What is not a whole line at either end is written as usual.
void stream(const float* from, float* to, int64_t count) {
  const auto misaligned = static_cast<int64_t>(reinterpret_cast<uintptr_t>(to) / sizeof(float) % kLineFloats);
  const int64_t head = std::min(count, misaligned == 0 ? 0 : kLineFloats - misaligned);
  std::copy_n(from, head, to);
  int64_t i = head;
  for (; i + kLineFloats <= count; i += kLineFloats) {
    for (int64_t j = i; j < i + kLineFloats; j += kSegmentFloats) _mm_stream_ps(to + j, _mm_loadu_ps(from + j));
  }
  std::copy_n(from + i, count - i, to + i);
}

}  // namespace

void stream_rows(MatrixView<const float> from, MatrixView<float> to) {
  if (from.row_stride == from.cols && to.row_stride == to.cols) {
    return stream(from.data, to.data, to.rows * to.cols);  // dense rows are one run
  }
  for (int64_t row = 0; row < to.rows; ++row) stream(&from(row, 0), &to(row, 0), to.cols);
}

void finish_streaming() { _mm_sfence(); }

}  // namespace mithral
