// MITHRAL_DUMP: what was compiled, as files.
#pragma once

#include <string>

#include "runtime/executable.h"
#include "runtime/kernel.h"

namespace mithral {

// Writes NAME.program, NAME.listing and, for the JIT, NAME.bin (the code of all routines, in the order of the listing)
// into the folder; NAME tells the shape, the ISA and a number that counts the kernels of this process. Throws
// InvalidArgument when a file cannot be written.
void dump_kernel(const std::string& folder, const Kernel& kernel, const Executable& executable);

}  // namespace mithral
