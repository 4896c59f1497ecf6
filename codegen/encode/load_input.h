// How encoding reads input of any type.
#pragma once

#include "codegen/model/input_view.h"
#include "codegen/program/program_builder.h"

namespace mithral::codegen {

// A vector of float32 lanes from as many consecutive elements of `type` at m.
Vreg load_as_f32(ProgramBuilder& b, const Target& target, InputType type, Mem m);

// Registers that it needs at most.
int registers_to_load(const Target& target, InputType type);

}  // namespace mithral::codegen
