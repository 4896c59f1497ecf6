// Contiguous rows that go to memory past the caches: for outputs that would not stay there until they are read.
// Ordinary stores read every line before they write it; such ones do not, but only if they come as whole lines. Rows
// begin and end anywhere, so two of them share a line:
//
//     memory    |pppprrrr|rrrrrrrr|rrrrssss|ssssssss|ssss....|       r: a row; p, s: those before and behind it
//                ╰ line ╯
//     buffer    |pppprrrr|rrrrrrrr|rrrr    |                         of the routine, begins where a line does
//
// A run of values, one tile of a row, is computed into the buffer, behind what its first line holds already; whole
// lines leave it for memory; the last one, not yet whole, is handed to the next run. What is handed on lies in
// RowLines:
//
//     rows of one tile          | line |      passed on from row to row: pppp.... rrrr.... ssss....
//     rows of several tiles     | row r: next line | row r: first line | row r + 1: ...
//
// Tiles are outermost then, so a row's first line waits for the end of the row before it: it is kept (`....rrrr`), not
// written, and at the end all first lines are completed with what the rows before them left, and written.
//
// LineStream is the half that is emitted (kStreamToRows), RowLines the half around it.
#pragma once

#include <cstdint>

#include "codegen/program/program_builder.h"
#include "codegen/program/sizes.h"

namespace mithral::codegen {

// One run of values, in a program.
class LineStream {
 public:
  // What a buffer needs for so many bytes of values: up to a line before them, and a vector that is stored past them.
  static constexpr int64_t buffer_bytes(int64_t bytes) { return bytes + 2 * kLineBytes; }

  // The run begins at y, in the line at `first`. All but y are where lines begin.
  LineStream(ProgramBuilder& b, Preg buffer, Preg y, Preg first);

  // Where the values are to be stored.
  Preg values() const { return values_; }

  // Ends a run of so many bytes. The line that it ends in goes to `last`.
  void end(int64_t bytes, Preg last);

  // The same, of whole lines; and the line that the run begins in goes to `first`, not to memory.
  void end_keeping_first(int64_t bytes, Preg last, Mem first);

 private:
  void write_lines(Preg from, int64_t begin, int64_t end);
  void copy_line(Mem to, Mem from);

  ProgramBuilder& b_;
  Preg buffer_, line_, values_;
};

// The lines that rows share, for calls of the routine.
class RowLines {
 public:
  // How many floats of the line that p is in are before p.
  static int64_t floats_before(const float* p);

  // The floats of memory that so many rows need.
  static constexpr int64_t n_floats(int64_t rows, bool one_tile) {
    return one_tile ? kLineFloats : 2 * rows * kLineFloats;
  }

  // `memory`: n_floats of the rows, from the start of a line on. `one_tile`: rows are of a single tile.
  RowLines(float* memory, float* first_row, int64_t n_outputs, bool one_tile)
      : memory_(memory), first_row_(first_row), n_outputs_(n_outputs), one_tile_(one_tile) {}

  // StreamRowsArguments::lines of a call that begins with this row.
  float* of(int64_t row) const { return one_tile_ ? memory_ : memory_ + 2 * row * kLineFloats; }

  // Before the first call: reads what is before the first row in its line.
  void begin();

  // After the last: writes what so many rows left.
  void end(int64_t rows);

 private:
  void write_first_lines(int64_t rows);

  float* memory_;
  float* first_row_;
  int64_t n_outputs_;
  bool one_tile_;
};

}  // namespace mithral::codegen
