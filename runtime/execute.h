// One call, cut into chunks: encode some rows, scan their codes while they are in cache, go on. The same for every
// backend.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/input_view.h"
#include "codegen/matrix_view.h"
#include "codegen/model.h"
#include "runtime/routines.h"

namespace mithral {

class Executor {
 public:
  // Keeps a reference: `routines` must outlive the executor.
  Executor(const Model& model, const Routines& routines);

  // Whole call for checked, non-overlapping views of equal rows. Any strides and input type; row-major and column-major
  // ones are used in place.
  void run(InputView x, MatrixView<float> y) const;

  // Codes only, from the routines' own layout into codes (N, C).
  void encode(InputView x, MatrixView<uint8_t> codes) const;

 private:
  struct Workspace;
  static Workspace& workspace();

  void prepare(Workspace& work, InputView x) const;
  void encode_chunk(Workspace& work, InputView x) const;
  void encode_columns(Workspace& work, InputView x) const;
  void encode_staged(Workspace& work, InputView x, int64_t first_block) const;
  void stage(Workspace& work, InputView x) const;
  template <typename To, typename From>
  void stage_elements(To* staged, MatrixView<const From> x, int64_t first_row) const;
  void call_encode(InputType type, const void* columns, const std::vector<int64_t>& offsets, int64_t n_blocks,
                   uint8_t* codes) const;

  // The type that rows are staged as: their own, or float32 where the routines know no other.
  InputType staged_type(InputView x) const { return routines_.encodes(x.type) ? x.type : InputType::kFloat32; }

  void scan_chunk(Workspace& work, MatrixView<float> y) const;
  void scan_block_to_any(Workspace& work, int64_t block, MatrixView<float> y) const;

  const codegen::Schedule& schedule() const { return routines_.schedule(); }
  const codegen::CodeLayout& layout() const { return schedule().codes; }
  int64_t chunk_rows() const { return int64_t{schedule().chunk_blocks} * layout().block_rows(); }

  const Routines& routines_;
  int64_t n_outputs_;
  std::vector<int64_t> staged_offsets_;  // bytes from the staged columns' start to each of them
};

}  // namespace mithral
