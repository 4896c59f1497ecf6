// Stores of less than a vector.
#pragma once

#include "codegen/program/program_builder.h"

namespace mithral::codegen {

// Stores the first `count` lanes of outputs at m; nothing else is written.
void store_first_lanes(ProgramBuilder& b, Mem m, Vreg outputs, int count);

}  // namespace mithral::codegen
