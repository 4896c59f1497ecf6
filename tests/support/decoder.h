// Machine code read back by Zydis, which shares nothing with the assembler that wrote it (Xbyak). Chosen over objdump
// and llvm-mc because it is a library, has every extension that code is generated for, and knows the instruction set
// that each encoding belongs to.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mithral::testing {

struct DecodedInstruction {
  size_t offset;  // of its first byte
  size_t length;
  std::string text;     // as listings write it, but for places in the code: "vpaddd ymm0, ymm1, [rip->128]", "jz ->64"
  std::string isa_set;  // "SSSE3", "AVX512BW": what a CPU must have, whatever the vector length
};

// All instructions of `code`. Throws std::runtime_error where there is none.
std::vector<DecodedInstruction> decode(std::span<const uint8_t> code);

}  // namespace mithral::testing
