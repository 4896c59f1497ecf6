// MITHRAL_DUMP: what was compiled, as files.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "runtime/kernel.h"

namespace mithral {

// Writes NAME.program, NAME.listing and, for the JIT, NAME.bin into the folder; NAME tells the shape, the ISA and a
// number that counts the kernels of this process. Throws InvalidArgument when a file cannot be written.
void dump_kernel(const std::string& folder, const Kernel& kernel, std::span<const uint8_t> code);

}  // namespace mithral
