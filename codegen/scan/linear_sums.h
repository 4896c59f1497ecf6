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

  // Sums of several outputs, of some vectors of rows each; or of several rows, of some vectors of outputs each.
  using Sums = std::vector<std::vector<Vreg>>;

  // Outputs, whose weights are `bytes_of_output` apart from `weights` on, of consecutive vectors of rows, the first of
  // them that of `first_block` at `codes`. Sums of table entries are shifted first.
  void add_to_rows(Sums& sums, Preg codes, int first_block, Mem weights, int64_t bytes_of_output);

  // Rows, from that whose first dims are at `dims` on, of consecutive vectors of outputs, whose weights are at
  // `weights`, those of four dims `bytes_of_four` apart.
  void add_to_outputs(Sums& sums, Preg dims, Mem weights, int64_t bytes_of_four);

 private:
  enum class Lanes { kRows, kOutputs };

  // Where the dims and the weights of some fours are, how far apart those of one four and the next, and of one output,
  // or row, and the next.
  struct Fours {
    Lanes lanes;
    Mem dims, weights;
    int64_t dims_stride, weights_stride, next;
  };

  void add(Sums& sums, const Fours& fours);
  void add_unrolled(Sums& sums, const Fours& fours, int64_t n_fours);
  void add_in_words(Sums& sums, const Fours& fours, int64_t first, int64_t count);

  // Factors of four dims: those of output, or row, k, which its vectors share; and those of vector i, which are shared
  // by all outputs, or rows.
  Vreg factor_of(const Fours& fours, int64_t four, size_t k);
  Vreg vector_factor(const Fours& fours, int64_t four, size_t i);

  ProgramBuilder& b_;
  const ScanPlan& plan_;
};

}  // namespace mithral::codegen
