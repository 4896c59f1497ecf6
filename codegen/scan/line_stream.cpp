#include "codegen/scan/line_stream.h"

#include <xmmintrin.h>

#include <algorithm>
#include <bit>
#include <cstdint>

#include "codegen/model/error.h"

namespace mithral::codegen {
namespace {

constexpr int kLineShift = std::countr_zero(static_cast<unsigned>(kLineBytes));

void stream_line(const float* from, float* to) {
  constexpr int64_t kStoreFloats = 4;
  for (int64_t i = 0; i < kLineFloats; i += kStoreFloats) _mm_stream_ps(to + i, _mm_load_ps(from + i));
}

}  // namespace

LineStream::LineStream(ProgramBuilder& b, Preg buffer, Preg y, Preg first)
    : b_(b),
      buffer_(buffer),
      line_(b.mul_imm(b.shr_imm(y, kLineShift), kLineBytes)),
      values_(b.add(buffer, b.and_imm(y, kLineBytes - 1))) {
  copy_line(at(buffer_), at(first));
}

void LineStream::end(int64_t bytes, Preg last) {
  if (bytes % kLineBytes == 0) {
    write_lines(buffer_, 0, bytes);
    return copy_line(at(last), at(buffer_, bytes));
  }
  const Preg filled = b_.add_imm(b_.and_imm(values_, kLineBytes - 1), bytes);
  const Preg from = b_.copy(buffer_);
  b_.repeat(b_.shr_imm(filled, kLineShift), [&] {
    write_lines(from, 0, kLineBytes);
    b_.advance(from, kLineBytes);
  });
  copy_line(at(last), at(from));
}

void LineStream::end_keeping_first(int64_t bytes, Preg last, Mem first) {
  copy_line(first, at(buffer_));
  write_lines(buffer_, kLineBytes, bytes);
  copy_line(at(last), at(buffer_, bytes));
}

void LineStream::write_lines(Preg from, int64_t begin, int64_t end) {
  ensure(end % kLineBytes == 0, "only whole lines are written");
  const int64_t vector = b_.target().vector_bytes;
  for (int64_t i = begin; i < end; i += vector) b_.stream(at(line_, i), b_.load(at(from, i)));
  b_.advance(line_, end);
}

void LineStream::copy_line(Mem to, Mem from) {
  const int vector = b_.target().vector_bytes;
  for (int64_t i = 0; i < kLineBytes; i += vector) b_.store(behind(to, i), b_.load(behind(from, i)));
}

int64_t RowLines::floats_before(const float* p) {
  return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p) / sizeof(float)) % kLineFloats;
}

void RowLines::begin() {
  const int64_t before = floats_before(first_row_);
  std::copy_n(first_row_ - before, before, memory_);
}

void RowLines::end(int64_t rows) {
  if (!one_tile_) write_first_lines(rows);
  float* behind = first_row_ + rows * n_outputs_;
  std::copy_n(of(rows - 1), floats_before(behind), behind - floats_before(behind));
}

// Each completed with what the row before it left; the first row's has been so since begin().
void RowLines::write_first_lines(int64_t rows) {
  for (int64_t row = 0; row < rows; ++row) {
    float* line = of(row) + kLineFloats;
    float* to = first_row_ + row * n_outputs_;
    const int64_t before = floats_before(to);
    if (row > 0) std::copy_n(of(row - 1), before, line);
    stream_line(line, to - before);
  }
}

}  // namespace mithral::codegen
