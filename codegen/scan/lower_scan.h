// What the routines that scan share: the look-ups of an output summed (sum_lookups.h), then scaled to float32 or left
// as they are. lower_scan.cpp writes such outputs to memory, lower_argmax.cpp compares them.
#pragma once

#include <bit>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "codegen/lower.h"
#include "codegen/program/program_builder.h"
#include "codegen/scan/sum_lookups.h"

namespace mithral::codegen {

class ScanLowering {
 protected:
  ScanLowering(const std::string& name, std::vector<std::string> args, const Model& model, const Schedule& schedule,
               const Target& target, Epilogue epilogue);

  // Arguments. They are read again where they are needed: holding them all would take too many registers.
  static constexpr int kCodesArg = 0;
  static constexpr int kOutputArg = 1;
  static constexpr int kStrideArg = 2;
  static constexpr int kBlocksArg = 3;
  static constexpr int kTileArg = 4;

  static constexpr int kFloatBytes = 4;  // and those of an int32

  using StoreLanes = std::function<void(int64_t first_row, Vreg values)>;

  void point_to_first_output();
  void advance_outputs(int64_t count);
  void skip_outputs(Preg count);
  int64_t block_bytes() const { return schedule_.codes.block_bytes(); }
  int64_t block_rows() const { return schedule_.codes.block_rows(); }

  // Runs `body(blocks)` over n_blocks blocks: as many tall tiles as there are, then single blocks.
  template <typename Body>
  void for_tiles(Body&& body) {
    const Preg n_blocks = b_.arg(kBlocksArg);
    if (schedule_.tall_tile == 1) return b_.repeat(n_blocks, [&] { body(1); });
    const int shift = std::countr_zero(static_cast<unsigned>(schedule_.tall_tile));
    b_.repeat(b_.shr_imm(n_blocks, shift), [&] { body(schedule_.tall_tile); });
    b_.repeat(b_.and_imm(b_.arg(kBlocksArg), schedule_.tall_tile - 1), [&] { body(1); });
  }

  // Runs `body(outputs)` over all outputs, `at_once` at a time, then over what is left.
  template <typename Body>
  void for_outputs(int at_once, Body&& body) {
    const int64_t full = model_.n_outputs() / at_once;
    const int remainder = static_cast<int>(model_.n_outputs() % at_once);
    if (full > 0) b_.repeat(b_.set(full), [&] { body(at_once); });
    if (remainder > 0) body(remainder);
  }

  // Output `tables_` of `blocks` blocks at `codes`: W rows at a time go to `store`.
  void lower_tile(Preg codes, int blocks, const StoreLanes& store);

  // `outputs` outputs from `tables_` on, column by column:
  //
  //     tile:  output 0:  row 0 | row 1 | ... | row tall_tile * block_rows - 1
  //            output 1:  ...
  void fill_tile(Preg codes, int blocks, int outputs);
  int64_t tile_column_bytes() const { return schedule_.tall_tile * block_rows() * kFloatBytes; }

  const Model& model_;
  const Schedule& schedule_;
  const Target& target_;
  Epilogue epilogue_;
  bool biased_sums_;  // sums become float32 by way of 2^23 + sum (epilogue.h)
  ProgramBuilder b_;
  std::unique_ptr<LookupSums> sums_;
  Preg tables_{}, scales_{};

 private:
  // What follows the look-ups, its constants in registers.
  struct Finish {
    std::function<std::vector<Vreg>(int block)> sums;  // W rows a vector
    std::function<Vreg(Vreg sums)> output;
  };
  Finish epilogue();
};

}  // namespace mithral::codegen
