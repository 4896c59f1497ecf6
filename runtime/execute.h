// One call, cut into chunks: encode some rows, scan their codes while they are in cache, go on. The same for every
// backend.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/lower.h"
#include "codegen/matrix_view.h"
#include "runtime/routines.h"

namespace mithral {

class Executor {
 public:
  // Keeps references: both must outlive the executor.
  Executor(const Model& model, const codegen::LoweredModel& lowered, const Routines& routines);

  // Whole call for checked, non-overlapping views of equal rows. Any strides; row-major and column-major ones are used
  // in place.
  void run(MatrixView<const float> x, MatrixView<float> y) const;

  // Codes only, from the routines' own layout into codes (N, C).
  void encode(MatrixView<const float> x, MatrixView<uint8_t> codes) const;

 private:
  struct Workspace;
  static Workspace& workspace();

  void prepare(Workspace& work, MatrixView<const float> x) const;
  void encode_chunk(Workspace& work, MatrixView<const float> x) const;
  void encode_columns(Workspace& work, MatrixView<const float> x) const;
  void encode_staged(Workspace& work, MatrixView<const float> x, int64_t first_block) const;
  void stage(Workspace& work, MatrixView<const float> x) const;
  void call_encode(const float* columns, const std::vector<int64_t>& offsets, int64_t n_blocks, uint8_t* codes) const;

  void scan_chunk(Workspace& work, MatrixView<float> y) const;
  void scan_block_to_any(Workspace& work, int64_t block, MatrixView<float> y) const;

  int64_t block_bytes() const { return n_codebooks_ * lowered_.target.vector_bytes; }
  int64_t chunk_rows() const { return int64_t{lowered_.schedule.chunk_blocks} * lowered_.target.block_rows(); }

  const codegen::LoweredModel& lowered_;
  const Routines& routines_;
  int64_t n_codebooks_;
  int64_t n_outputs_;
  std::vector<int64_t> staged_offsets_;  // bytes from the staged columns' start to each of them
};

}  // namespace mithral
