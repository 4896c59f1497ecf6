// Products of quantised linear dims and weights, added to sums of table entries. Four dims of a row are the bytes of a
// lane (code_layout.h), and so are the weights of four dims of an output (lookup_tables.h, row_tables.h): a dot product
// of bytes takes W rows, or W outputs, of four dims.
#pragma once

#include <vector>

#include "codegen/program/program_builder.h"
#include "codegen/scan/scan_plan.h"

namespace mithral::codegen {

class LinearSums {
 public:
  // Keeps references to its arguments.
  LinearSums(ProgramBuilder& b, const ScanPlan& plan) : b_(b), plan_(plan) {}

  // One output, whose weights are at `weights`, of consecutive vectors of rows, the first of them that of `first_block`
  // at `codes`. Sums of table entries are shifted first.
  void add_to_rows(std::vector<Vreg>& sums, Preg codes, int first_block, Mem weights);

  // One row, whose first dims are at `dims`, of consecutive vectors of outputs, whose weights are at `weights`, those
  // of four dims `bytes_of_four` apart.
  void add_to_outputs(std::vector<Vreg>& sums, Preg dims, Mem weights, int64_t bytes_of_four);

 private:
  enum class Lanes { kRows, kOutputs };

  // Where the dims and the weights of some fours are, and how far apart those of one four and the next.
  struct Fours {
    Lanes lanes;
    Mem dims, weights;
    int64_t dims_stride, weights_stride;
  };

  void add(std::vector<Vreg>& sums, const Fours& fours);
  void add_unrolled(std::vector<Vreg>& sums, const Fours& fours, int64_t n_fours);
  void add_in_words(std::vector<Vreg>& sums, const Fours& fours, int64_t first, int64_t count);

  // Factors of four dims: the one that all vectors share, and that of vector i.
  Vreg shared_factor(const Fours& fours, int64_t four);
  Vreg factor(const Fours& fours, int64_t four, size_t i);

  ProgramBuilder& b_;
  const ScanPlan& plan_;
};

}  // namespace mithral::codegen
