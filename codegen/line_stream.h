// A run of values that goes to memory past the caches: for outputs that would not stay there until they are read.
// Ordinary stores read every line before they write it; such ones do not, but only if they come as whole lines. Runs
// begin and end anywhere, so their pieces pass through a ring that begins where a line does:
//
//     memory  ...|ppp11111|11111111|11112222|22222222|2222....      p: before the run; 1, 2: pieces of it
//
//     ring       |ppp11111|11111111|1111    |       whole lines go to memory, the last one to the ring's start
//                |11112222|22222222|2222    |
//
// The line that a run begins in comes from somewhere, the one it ends in goes somewhere, as a whole, with whatever is
// behind the last value.
#pragma once

#include "codegen/program_builder.h"

namespace mithral::codegen {

class LineStream {
 public:
  static constexpr int64_t kLineBytes = 64;

  // What a ring needs for pieces of so many bytes: up to a line before the piece, and a vector that is stored past it.
  static constexpr int64_t ring_bytes(int64_t piece_bytes) { return piece_bytes + 2 * kLineBytes; }

  // The run begins at y, in the line at `first`. All but y are where lines begin.
  LineStream(ProgramBuilder& b, Preg ring, Preg y, Preg first);

  // Where the next piece is to be stored.
  Preg next() const { return next_; }

  // A piece is stored, of whole lines; there will be another.
  void advance(int64_t bytes);

  // The last piece is stored. The line that it ends in goes to `last`.
  void end(int64_t bytes, Preg last);

  // The same, of whole lines; and the line that the run begins in goes to `first`, not to memory.
  void end_keeping_first(int64_t bytes, Preg last, Mem first);

  // The last piece was the one before.
  void end(Preg last) { copy_line(at(last), at(ring_)); }

  // The line of memory that comes next.
  Preg line() const { return line_; }

 private:
  void write_lines(Preg from, int64_t begin, int64_t end);
  void copy_line(Mem to, Mem from);

  ProgramBuilder& b_;
  Preg ring_, line_, next_;
};

// The line that an address is in.
Preg line_of(ProgramBuilder& b, Preg y);

}  // namespace mithral::codegen
