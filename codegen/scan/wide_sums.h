// Byte sums of groups of codebooks (lut_groups.h) -> 32-bit lanes.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "codegen/scan/word_sums.h"

namespace mithral::codegen {

// Of several vectors at once: the blocks of a tile, or the pieces of a row.
class WideSums {
 public:
  WideSums(ProgramBuilder& b, GroupSums strategy, int n_groups, int vectors);

  // Byte sums of the next group, one for each vector.
  void add(const std::vector<Vreg>& bytes);

  // After the last group, once for every vector: the sums of the four bytes of its lanes.
  std::vector<Vreg> lanes(int vector);

  // Or with the bits of `bias`, whose low 16 are 0, in the others' place.
  std::vector<Vreg> biased_lanes(int vector, Vreg bias);

 private:
  std::vector<Vreg> lanes_of_bytes(Vreg bytes);
  std::vector<Vreg> lanes_of_words(const Words& sums);
  Words words(int vector);
  Vreg mask(uint32_t bits_of_lane);

  ProgramBuilder& b_;
  std::vector<Vreg> bytes_;          // of the last group
  std::unique_ptr<WordSums> words_;  // if there are several groups
  std::map<uint32_t, Vreg> masks_;   // once they are needed
};

}  // namespace mithral::codegen
