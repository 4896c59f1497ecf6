// How lowering finds, for a vector of rows, the threshold of the node that each row is at.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "codegen/encode/trees/tree_structure.h"
#include "codegen/program/program_builder.h"

namespace mithral::codegen {

// Thresholds that one permutation chooses among, rows naming them by their node number: of one register, or of two
// where there is an operation for that.
size_t permuted_slots(const Target& target);
size_t most_permuted_slots(const Target& target);

// A level's thresholds where the program finds them. Rows carry their node number negated (lower_trees.cpp), so node i
// is in slot -i modulo the number of slots.
struct Slots {
  ConstantId constant = kNoConstant;
  std::vector<float> thresholds;
  std::vector<bool> reachable;

  size_t size() const { return thresholds.size(); }
};

// The slots of a level of kind kTable, as a constant of the program.
Slots arrange_slots(ProgramBuilder& b, const TreeLevel& level, const Target& target);

// Slots of at most one permutation, in a register.
Vreg load_slots(ProgramBuilder& b, const Slots& slots);

// One level's thresholds for one vector of rows. Slots that one permutation reaches come from the register `held`, if
// it is given, or from memory. More of them are cut into runs, each permuted by the low bits of the slot number; the
// higher bits choose among the results. Of runs of eight:
//
//     slots   0..7   8..15   16..23   24..31
//                \   /            \   /            bit 3
//                  \_______________/               bit 4
//
// Depth first: then one result a height waits for its neighbour, more would not fit the registers. Runs that no row
// gets to are left out, and thresholds that are equal are not looked up.
class ThresholdSelection {
 public:
  ThresholdSelection(ProgramBuilder& b, const Target& target, const Slots& slots, Vreg negated_nodes)
      : b_(b), target_(target), slots_(slots), negated_nodes_(negated_nodes) {}

  Vreg run(std::optional<Vreg> held);

  // Registers that run() needs at most beside the node numbers, for levels of up to `n_slots` slots.
  static int n_registers(size_t n_slots, const Target& target);

 private:
  Vreg among(size_t first, size_t count);
  bool some_reachable(size_t first, size_t count) const;
  std::optional<size_t> only_slot(size_t first, size_t count) const;
  Vreg permute(size_t first, size_t count);
  Vreg permute_held(Vreg held);
  Vreg byte_indices();
  Vreg bit_as_sign(size_t value);
  Mem threshold_at(size_t slot) const;

  ProgramBuilder& b_;
  const Target& target_;
  const Slots& slots_;
  Vreg negated_nodes_;
  std::optional<Vreg> byte_indices_;
  std::optional<Vreg> lowest_bit_;
};

}  // namespace mithral::codegen
