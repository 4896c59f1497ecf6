#include "runtime/stream_stores.h"

#include <emmintrin.h>

#include <algorithm>

namespace mithral {
namespace {

constexpr int64_t kLineFloats = 16;
constexpr int64_t kStoreFloats = 4;

int64_t floats_of_address(const float* p) {
  return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p) / sizeof(float));
}

// Up to a multiple of a page more than `value`, so that it is `target` modulo a page.
int64_t advance_to(int64_t value, int64_t target) {
  return value + ((target - value) % kPageFloats + kPageFloats) % kPageFloats;
}

// What is not a whole line at either end is written as usual.
void stream(const float* from, float* to, int64_t count) {
  const int64_t misaligned = floats_of_address(to) % kLineFloats;
  const int64_t head = std::min(count, misaligned == 0 ? 0 : kLineFloats - misaligned);
  std::copy_n(from, head, to);
  int64_t i = head;
  for (; i + kLineFloats <= count; i += kLineFloats) {
    for (int64_t j = i; j < i + kLineFloats; j += kStoreFloats) _mm_stream_ps(to + j, _mm_loadu_ps(from + j));
  }
  std::copy_n(from + i, count - i, to + i);
}

}  // namespace

int64_t StreamScratch::row_stride(int64_t cols, MatrixView<const float> to) { return advance_to(cols, to.row_stride); }

MatrixView<float> StreamScratch::in(float* memory, MatrixView<const float> to) {
  const int64_t start = floats_of_address(memory);
  float* data = memory + advance_to(start, floats_of_address(to.data) + kPageFloats / 2) - start;
  return {data, to.rows, to.cols, row_stride(to.cols, to), 1};
}

void stream_rows(MatrixView<const float> from, MatrixView<float> to) {
  if (from.row_stride == from.cols && to.row_stride == to.cols) {
    return stream(from.data, to.data, to.rows * to.cols);  // dense rows are one run
  }
  for (int64_t row = 0; row < to.rows; ++row) stream(&from(row, 0), &to(row, 0), to.cols);
}

void finish_streaming() { _mm_sfence(); }

}  // namespace mithral
