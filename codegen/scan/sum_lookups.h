// Table look-ups of one output, added up exactly.
#pragma once

#include <memory>
#include <vector>

#include "codegen/program/program_builder.h"
#include "codegen/scan/scan_plan.h"

namespace mithral::codegen {

// The sums of an output's look-ups, written into a program, for the blocks that share the load of a table. One strategy
// per kind of tables (lookup_tables.h):
//
//     kSegments        a byte shuffle looks up one codebook for 4W rows; entries are added in
//                      bytes as far as the groups allow (lut_groups.h), then in 16 bits
//     kRegisters       the same by permutations of bytes among registers
//     kFourCodebooks   a byte permutation looks up four codebooks for W rows, and a dot
//                      product with ones adds the four
class LookupSums {
 public:
  virtual ~LookupSums() = default;

  // Sums for `blocks` blocks at `codes` of the output whose tables are at `tables`.
  virtual void add(Preg codes, Preg tables, int blocks) = 0;

  // What add() left for one of its blocks: 32-bit integers, W rows a vector, in the order of the rows.
  virtual std::vector<Vreg> lanes(int block) = 0;

  // The same, made float32 2^23 + sum: exact, and the bits of `bias`, which is 2^23, with those of the sum in its place
  // (epilogue.h). For targets that have kBiasedSumsNeed.
  virtual std::vector<Vreg> biased_lanes(int block, Vreg bias) = 0;
};

// Keeps references to its arguments.
std::unique_ptr<LookupSums> sum_lookups(ProgramBuilder& b, const ScanPlan& plan);

}  // namespace mithral::codegen
