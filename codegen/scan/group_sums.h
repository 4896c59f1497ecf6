// Byte sums of groups of codebooks (lut_groups.h) -> exact sums over all groups, in 32-bit lanes.
//
// Groups are added in 16 bits. Modulo 2^16, the pairs of bytes (odd * 256 + even) are added up, and by themselves the
// odd bytes; the sum of the even ones is that of the pairs less 256 times that of the odd ones. Three operations per
// group, two at the end; the odd bytes are taken out by a multiplication, because shifts wait for the ports that look
// up, on AMD's CPUs.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "codegen/program/program_builder.h"

namespace mithral::codegen {

class GroupSums {
 public:
  // Sums of several vectors at once: blocks that share the load of a table, or pieces of a row. Those of no group are
  // 0.
  GroupSums(ProgramBuilder& b, int n_groups);

  // Byte sums of the next group, one per vector.
  void add(const std::vector<Vreg>& bytes);

  // The sums of the four bytes of a vector's lanes: after the last group, once per vector.
  std::vector<Vreg> lanes(int vector);

  // The same, with the bits of `bias`, whose low 16 are 0, above the 16 of the sums.
  std::vector<Vreg> biased_lanes(int vector, Vreg bias);

 private:
  // 16-bit sums of a vector's even and of its odd bytes.
  struct Words {
    Vreg even, odd;
  };
  Words words(int vector);
  Vreg mask(uint32_t bits_of_lane);

  ProgramBuilder& b_;
  bool one_group_;
  std::vector<Vreg> bytes_;         // of a single group: its sums
  std::vector<Vreg> pairs_, odds_;  // of several: 16-bit sums of the pairs of bytes, and of the odd ones
  Vreg odd_bytes_{};                // factors that leave the odd byte of a pair
  std::map<uint32_t, Vreg> masks_;  // made when they are first needed, and shared by all vectors
};

}  // namespace mithral::codegen
