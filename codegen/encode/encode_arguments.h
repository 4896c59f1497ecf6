// What encoders of all input types are called with, and how they are named.
#pragma once

#include <string>
#include <vector>

#include "codegen/model/input_view.h"
#include "codegen/program/program_builder.h"

namespace mithral::codegen {

// Arguments. They are read again where they are needed: the columns of trees take most registers.
inline constexpr int kColumnsArg = 0;
inline constexpr int kOffsetsArg = 1;
inline constexpr int kBlocksArg = 2;
inline constexpr int kCodesArg = 3;

inline ProgramBuilder encode_builder(const Target& target, InputType type) {
  const std::string name = type == InputType::kFloat32 ? "encode" : std::string("encode_") + input_type_name(type);
  return ProgramBuilder(name, target, {"columns", "offsets", "n_blocks", "codes"});
}

inline Preg column_pointer(ProgramBuilder& b, int column) {
  return b.add(b.load_i64(at(b.arg(kOffsetsArg), 8 * int64_t{column})), b.arg(kColumnsArg));
}

}  // namespace mithral::codegen
