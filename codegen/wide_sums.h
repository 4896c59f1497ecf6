// Sums of bytes that may overflow a byte: groups of byte sums, which the overflow proof (lut_groups.h) keeps below 256,
// added up in 16 bits.
#pragma once

#include <vector>

#include "codegen/program_builder.h"

namespace mithral::codegen {

class WideSums {
 public:
  explicit WideSums(ProgramBuilder& b) : b_(b) {}

  // Adds a group: one vector of byte sums for each of the vectors that are summed. `only` says that no other follows.
  void add(const std::vector<Vreg>& sums, bool only);

  // The sums of the four bytes of every lane: four vectors of 32-bit integers.
  std::vector<Vreg> lanes(int vector) const;

 private:
  std::vector<Vreg> bytes_;          // the only group
  std::vector<Vreg> totals_, odds_;  // sums of 16-bit pairs of bytes, and of their high bytes
  ProgramBuilder& b_;
};

}  // namespace mithral::codegen
