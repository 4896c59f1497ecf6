// The lines that contiguous rows share with each other, while stores past the caches write the others (lower.h,
// kStreamToRows): those stores pay for whole lines only.
//
//     memory   ...|pprrrrrr|rrrrrrrr|rrrrssss|ssssssss|sss.....|      p: before row r; s: row r + 1
//
// The routine leaves `rrrr....` and `....ssss` here, from where they are written as one.
#pragma once

#include <cstdint>

#include "codegen/scan/line_stream.h"

namespace mithral {

class RowLines {
 public:
  static constexpr int64_t kLineFloats = codegen::LineStream::kLineBytes / static_cast<int64_t>(sizeof(float));

  // Of the line that p is in, those before p.
  static int64_t floats_before(const float* p);

  static constexpr int64_t n_floats(int64_t rows) { return 2 * rows * kLineFloats; }

  // `memory`: n_floats of the rows, from the start of a line on. If rows are of a single tile of outputs, the routine
  // passes one line on from row to row.
  RowLines(float* memory, float* first_row, int64_t n_outputs, bool one_tile)
      : memory_(memory), first_row_(first_row), n_outputs_(n_outputs), one_tile_(one_tile) {}

  // What the routine is told about a row.
  float* of(int64_t row) const { return one_tile_ ? memory_ : memory_ + 2 * row * kLineFloats; }

  // Reads what is before the first row.
  void begin();

  // All tiles of so many rows were written.
  void end(int64_t rows);

 private:
  float* memory_;
  float* first_row_;
  int64_t n_outputs_;
  bool one_tile_;
};

// Stores past the caches are ordered by nothing else: a fence before another thread may read what they wrote.
struct StreamFence {
  StreamFence() = default;
  StreamFence(const StreamFence&) = delete;
  StreamFence& operator=(const StreamFence&) = delete;
  ~StreamFence();
};

}  // namespace mithral
