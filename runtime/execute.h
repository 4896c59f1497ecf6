// One call, cut into chunks: encode some rows, scan their codes while they are in cache, go on. The same for every
// backend.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/matrix_view.h"
#include "codegen/model.h"
#include "runtime/routines.h"

namespace mithral {

class Executor {
 public:
  // Keeps a reference: `routines` must outlive the executor.
  Executor(const Model& model, const Routines& routines);

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

  // Rows of a chunk -> outputs. `streamed`: past the caches.
  void scan_chunk(Workspace& work, MatrixView<float> y, bool streamed) const;
  bool is_streamed(MatrixView<float> y) const;
  bool accumulates_rows(MatrixView<float> y) const;
  void accumulate_chunk(Workspace& work, MatrixView<float> y, bool streamed) const;
  void accumulate(Workspace& work, int64_t first, MatrixView<float> y) const;
  void scan_block_to_any(Workspace& work, int64_t block, MatrixView<float> y) const;

  const codegen::Schedule& schedule() const { return routines_.schedule(); }
  const codegen::CodeLayout& layout() const { return schedule().codes; }
  int64_t chunk_rows() const { return int64_t{schedule().chunk_blocks} * layout().block_rows(); }

  const Routines& routines_;
  int64_t n_outputs_;
  std::vector<int64_t> staged_offsets_;  // bytes from the staged columns' start to each of them
};

}  // namespace mithral
