#include "codegen/encode/trees/trees_lowering.h"

#include "codegen/encode/trees/lower_trees.h"
#include "codegen/encode/trees/lower_trees_bytes.h"
#include "codegen/encode/trees/select_thresholds.h"
#include "codegen/model/error.h"
#include "codegen/model/float_environment.h"
#include "codegen/model/multiples.h"

namespace mithral::codegen {
namespace {

// Instructions that take a vector of rows down a level of so many different nodes: compare, double, add; and choose the
// thresholds, in several permutations where there are many, whose results a bit of the node chooses among.
double level_instructions(int64_t n_nodes, const Target& target) {
  constexpr double kCompare = 3, kPermute = 1, kChoice = 2;
  const auto permutations = static_cast<double>(divide_up<int64_t>(n_nodes, most_permuted_slots(target)));
  return kCompare + kPermute * permutations + kChoice * (permutations - 1);
}

}  // namespace

double tree_instructions(int64_t depth, const Target& target) {
  double result = 0;
  for (int64_t level = 0; level < depth; ++level) result += level_instructions(int64_t{1} << level, target);
  return result;
}

double TreesLowering::instructions(const Target& target) const {
  double result = 0;
  for (const std::vector<TreeLevel>& tree : trees_.trees) {
    for (const TreeLevel& level : tree) {
      if (level.kind == TreeLevel::Kind::kDead) continue;
      result += level_instructions(static_cast<int64_t>(level.thresholds.size()), target);
    }
  }
  return result;
}

std::string TreesLowering::words() const { return message("hash trees of depth ", trees_.depth); }

Program TreesLowering::lower(const CodeLayout& layout, const Target& target, InputType type) const {
  const DefaultFloatEnvironment ieee;  // thresholds are compared
  const bool as_bytes = encodes_bytes(trees_, layout, type);
  return (as_bytes ? lower_trees_bytes : lower_trees)(trees_, layout, target, type);
}

}  // namespace mithral::codegen
