// What the routines that look up share: the look-ups of an output summed (sum_lookups.h), then scaled to float32 or
// left as they are. lower_scan.cpp writes such outputs to memory, lower_argmax.cpp compares them.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "codegen/program/program_builder.h"
#include "codegen/program/sizes.h"
#include "codegen/scan/epilogue.h"
#include "codegen/scan/linear_sums.h"
#include "codegen/scan/scan_plan.h"
#include "codegen/scan/sum_lookups.h"

namespace mithral::codegen {

// A routine that looks up. Subclasses name its arguments, and read them again where they are needed: holding them all
// would take too many registers.
class ScanLowering {
 protected:
  ScanLowering(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue);

  using StoreLanes = std::function<void(int output, int64_t first_row, Vreg values)>;

  // `Index` names the routine's arguments; sums have no scales.
  template <typename Index>
  void point_to_first_output() {
    tables_ = b_.arg(Index::tables);
    if (is_scaled(epilogue_)) scales_ = b_.arg(Index::scales);
  }
  void advance_outputs(int64_t count);
  int64_t block_bytes() const { return plan_.codes.block_bytes(); }
  int64_t block_rows() const { return plan_.codes.block_rows(); }

  // Runs `body(blocks)` over as many blocks as the argument says: table_blocks at a time as long as there are so many,
  // then single blocks.
  template <typename Index, typename Body>
  void for_table_blocks(Index n_blocks, Body&& body) {
    b_.repeat_by(
        plan_.scan.table_blocks, [&] { return b_.arg(n_blocks); }, body);
  }

  // Runs `body(outputs)` over all outputs, `at_once` at a time, then over what is left.
  template <typename Body>
  void for_outputs(int at_once, Body&& body) {
    const int64_t full = n_outputs() / at_once;
    const int remainder = static_cast<int>(n_outputs() % at_once);
    if (full > 0) b_.repeat(b_.set(full), [&] { body(at_once); });
    if (remainder > 0) body(remainder);
  }

  // `outputs` outputs from that whose tables are at `tables_` on, 1 or linear_outputs, of `blocks` blocks at `codes`: W
  // rows at a time go to `store`.
  void lower_outputs(Preg codes, int blocks, int outputs, const StoreLanes& store);

  // Runs `body(outputs)` over `count` outputs, linear_outputs at a time, then one by one.
  template <typename Body>
  void for_linear_outputs(int64_t count, Body&& body) {
    const int most = plan_.scan.linear_outputs;
    if (count >= most) b_.repeat(b_.set(count / most), [&] { body(most); });
    if (count % most > 0) b_.repeat(b_.set(count % most), [&] { body(1); });
  }

  // The tile of `outputs` outputs from `tables_` on. Its first column is at `column`, which is advanced past the last:
  //
  //     output 0:  row 0 | row 1 | ... | row table_blocks * block_rows - 1
  //     output 1:  ...
  void fill_tile(Preg codes, Preg column, int blocks, int outputs);
  int64_t tile_column_bytes() const { return plan_.scan.table_blocks * block_rows() * kFloatBytes; }

  int64_t n_outputs() const { return plan_.shape.n_outputs; }

  const ScanPlan& plan_;
  const Target& target_;
  Epilogue epilogue_;
  bool biased_sums_;  // sums become float32 by way of 2^23 + sum (epilogue.h)
  ProgramBuilder b_;
  std::unique_ptr<LookupSums> sums_;
  LinearSums linear_;
  Preg tables_{}, scales_{};

 private:
  // The float step, its constants in registers; nothing where sums are left as they are.
  struct Scaling {
    std::function<std::vector<Vreg>(int block)> sums;  // W rows a vector
    std::function<Vreg(Vreg sums)> output;
  };
  Scaling scaling(int output_number);
  void lower_output(Preg codes, int blocks, const StoreLanes& store);
  int blocks_with_linear(int blocks) const;
  Mem weights() const { return at(tables_, plan_.lookup_tables.bytes_of_codebooks()); }
};

}  // namespace mithral::codegen
