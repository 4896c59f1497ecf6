// A run of values that goes to memory past the caches: for outputs that would not stay there until they are read.
// Ordinary stores read every line before they write it; such ones do not, but only if they come as whole lines. Runs
// begin and end anywhere, so they pass through a buffer that begins where a line does:
//
//     memory  ...|pppvvvvv|vvvvvvvv|vvvv....      p: before the run; v: its values
//     buffer     |pppvvvvv|vvvvvvvv|vvvv    |
//
// The line that a run begins in comes from somewhere, the one it ends in goes somewhere, as a whole, with whatever is
// behind the last value.
#pragma once

#include "codegen/program/program_builder.h"

namespace mithral::codegen {

class LineStream {
 public:
  static constexpr int64_t kLineBytes = 64;

  // What a buffer needs for so many bytes of values: up to a line before them, and a vector that is stored past them.
  static constexpr int64_t buffer_bytes(int64_t bytes) { return bytes + 2 * kLineBytes; }

  // The run begins at y, in the line at `first`. All but y are where lines begin.
  LineStream(ProgramBuilder& b, Preg buffer, Preg y, Preg first);

  // Where the values are to be stored.
  Preg values() const { return values_; }

  // They are. The line that they end in goes to `last`.
  void end(int64_t bytes, Preg last);

  // The same, of whole lines; and the line that the run begins in goes to `first`, not to memory.
  void end_keeping_first(int64_t bytes, Preg last, Mem first);

 private:
  void write_lines(Preg from, int64_t begin, int64_t end);
  void copy_line(Mem to, Mem from);

  ProgramBuilder& b_;
  Preg buffer_, line_, values_;
};

}  // namespace mithral::codegen
