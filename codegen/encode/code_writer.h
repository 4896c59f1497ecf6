// The end of every encoder: codes in vectors -> the bytes of a block (code_layout.h).
#pragma once

#include <vector>

#include "codegen/program/code_layout.h"
#include "codegen/program/program_builder.h"

namespace mithral::codegen {

class CodeWriter {
 public:
  // `zero` is a register that stays zero.
  CodeWriter(ProgramBuilder& b, const CodeLayout& layout, Vreg zero);

  // Codes in 32-bit lanes, negated, as encoders that count down with masks have them.
  //
  // kFourRows: of one codebook, the four vectors of rows of a block.
  void write_block(Preg codes, const std::vector<Vreg>& negated);

  // kFourCodebooks: of `codebook`, which is even, and the next one, if there is one, the vector of rows of a block. The
  // second two codebooks of four add themselves to what the first two left.
  void write_pair(Preg codes, int codebook, const std::vector<Vreg>& negated);

 private:
  Vreg pack(const std::vector<Vreg>& negated);

  ProgramBuilder& b_;
  Vreg zero_, places_{};
};

// Codes in bytes, a byte per row of a block of kFourRows, in the order of the rows -> in that of the layout.
class ByteCodeOrder {
 public:
  ByteCodeOrder(ProgramBuilder& b, const Target& target);
  Vreg in_code_order(Vreg rows);

  static constexpr int kRegisters = 2;

 private:
  ProgramBuilder& b_;
  const Target& target_;
  Vreg lane_order_{}, byte_order_{};
};

}  // namespace mithral::codegen
