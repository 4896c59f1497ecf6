// An ELF object that describes emitted code: a function symbol for each routine, and the unwind information.
#pragma once

#include <cstdint>
#include <vector>

#include "jit/emitted_code.h"

namespace mithral::jit {

// Its .text takes no room in it: addresses are those of the code in this process, and readers find the code there.
std::vector<uint8_t> elf_image(const EmittedCode& code);

}  // namespace mithral::jit
