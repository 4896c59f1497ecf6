// What becomes of a sum of table entries.
#pragma once

#include "codegen/activation.h"
#include "codegen/program_builder.h"

namespace mithral::codegen {

enum class Epilogue {
  kSum,         // int32: the sum
  kScaled,      // float32: sum * scale + offset
  kScaledRelu,  // float32: the same, and where it is not above 0, +0
};

// That of float32 outputs.
Epilogue epilogue_of(Activation activation);

// What follows the scaling.
Vreg activate(ProgramBuilder& b, Epilogue epilogue, Vreg scaled);

// Stores the first `count` lanes of outputs at m; nothing else is written.
void store_first_lanes(ProgramBuilder& b, Mem m, Vreg outputs, int count);

}  // namespace mithral::codegen
