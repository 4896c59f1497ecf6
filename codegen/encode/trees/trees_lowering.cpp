#include "codegen/encode/trees/trees_lowering.h"

#include "codegen/encode/trees/lower_trees.h"
#include "codegen/encode/trees/lower_trees_bytes.h"
#include "codegen/model/error.h"
#include "codegen/model/float_environment.h"

namespace mithral::codegen {

double TreesLowering::instructions(const Target&) const {
  constexpr double kLevel = 4;  // compare, choose the next threshold, double, add
  return static_cast<double>(trees_.trees.size() * trees_.depth()) * kLevel;
}

std::string TreesLowering::words() const { return message("hash trees of depth ", trees_.depth()); }

Program TreesLowering::lower(const CodeLayout& layout, const Target& target, InputType type) const {
  const DefaultFloatEnvironment ieee;  // thresholds are compared
  const bool as_bytes = encodes_bytes(trees_, layout, type);
  return (as_bytes ? lower_trees_bytes : lower_trees)(trees_, layout, target, type);
}

}  // namespace mithral::codegen
