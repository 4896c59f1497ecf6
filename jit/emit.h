// Program -> position-independent machine code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codegen/program/program.h"
#include "jit/emitted_code.h"

namespace mithral::jit {

// Code, then its constants. Callable at any 64-byte aligned address as void(const int64_t* args); the same program
// always gives the same bytes. Needs no CPU feature to make, only to run. The program must be a verified one
// (program.h).
struct MachineCode {
  std::vector<uint8_t> bytes;
  size_t code_bytes = 0;           // the part in front of the constants
  std::vector<FrameChange> frame;  // in the order of the code
};

MachineCode emit(const codegen::Program& program);

// The machine code of a program as text: every operation as a comment, followed by its instructions with offset and
// bytes.
std::string listing(const codegen::Program& program);

}  // namespace mithral::jit
