// The text of emitted code as data, with the places that its names stand for.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "codegen/program/program.h"

namespace mithral::testing {

struct ListingLine {
  size_t offset;
  size_t length;
  std::string text;  // "vpaddd ymm0, ymm1, [rip->128]" for [rip+const_3+16], "jz ->64" for jz end_10
};

// The instructions of jit::listing(program). Throws std::runtime_error when the constants are not where a program's
// constants belong: behind the code, in order, aligned.
std::vector<ListingLine> resolved_listing(const codegen::Program& program);

}  // namespace mithral::testing
