// Executes a program one operation at a time: the meaning of every operation, in plain C++, for any vector length.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/program/program.h"

namespace mithral::codegen {

// A program made ready to run: loops matched once. Immutable; run() may be called from many threads.
class Interpreter {
 public:
  explicit Interpreter(Program program);

  // `args` are the routine's 64-bit arguments in the program's order; pointers among them are trusted.
  void run(const int64_t* args) const;

 private:
  Program program_;
  std::vector<int> loops_;
};

}  // namespace mithral::codegen
