// How encoders reach the columns of their input.
#pragma once

#include "codegen/program/program_builder.h"
#include "codegen/program/routine.h"

namespace mithral::codegen {

// Where column `column`, of those that the encoder reads, starts. Arguments are read again where they are needed:
// pointers to columns take most registers.
inline Preg column_pointer(ProgramBuilder& b, int column) {
  using Arg = EncodeArguments::Index;
  return b.add(b.load_i64(at(b.arg(Arg::offsets), 8 * int64_t{column})), b.arg(Arg::columns));
}

}  // namespace mithral::codegen
