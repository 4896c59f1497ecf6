// One call, cut into chunks: get the codes of some rows, scan them while they are in cache, go on. The same for every
// backend.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/model/input_view.h"
#include "codegen/model/matrix_view.h"
#include "codegen/model/multiples.h"
#include "codegen/program/routine.h"
#include "runtime/rows.h"
#include "runtime/runner.h"
#include "runtime/table_layouts.h"

namespace mithral {

class Executor {
 public:
  // References to all are kept. `latents` computes those of the model, if it has some.
  Executor(const Runner& runner, const TableLayouts& tables, const Executor* latents);

  // Whole call for checked, non-overlapping views of equal rows. Any strides and input type; row-major and column-major
  // ones are used in place. Rows of codes have codes that are checked.
  // `call_rows`: of the whole call, of which these may be a part; large calls write past the caches.
  void outputs(const Rows& rows, MatrixView<float> y, int64_t call_rows) const;
  void outputs(const Rows& rows, MatrixView<float> y) const { outputs(rows, y, rows.count()); }

  // The integer sums that y = float(sum) * scale + offset is made of; y as above.
  void sums(const Rows& rows, MatrixView<int32_t> y) const;

  // indices (N, 1): for each row the first output with the largest value.
  void argmax(const Rows& rows, MatrixView<int64_t> indices) const;

  // values and indices (N, k): for each row the k largest values, falling, the lower output first of equal ones.
  void top_k(const Rows& rows, MatrixView<float> values, MatrixView<int64_t> indices) const;

  // Codes only, from the runner's own layout into codes (N, C).
  void encode(InputView x, MatrixView<uint8_t> codes) const;

 private:
  struct Workspace;
  Workspace& workspace() const;

  // Codes of the rows, chunk by chunk: `take(first_row, rows)` is called after each, whose codes are then in the
  // workspace.
  template <typename Take>
  void for_chunks(Workspace& work, const Rows& rows, Take&& take) const;
  template <typename Take>
  void for_few_rows(Workspace& work, int64_t first, int64_t rows, Take&& take) const;
  void top_k_of_rows(Workspace& work, int64_t first_row, MatrixView<float> values, MatrixView<int64_t> indices) const;
  void prepare(Workspace& work, const Rows& rows) const;
  void prepare_latents(Workspace& work) const;

  // execute_codes.cpp: given codes -> those of a chunk.
  void pack_chunk(Workspace& work, MatrixView<const uint8_t> codes) const;
  void pack_block(const uint8_t* rows, int64_t stride, uint8_t* to) const;

  // execute_encode.cpp: rows of features -> codes of a chunk.
  void encode_chunk(Workspace& work, InputView x) const;
  void encode_columns(Workspace& work, InputView x) const;
  void encode_rows(Workspace& work, InputView x) const;
  void quantise_rows(Workspace& work, InputView x) const;
  void quantise_latents(Workspace& work, InputView x) const;
  // Columns that are staged. Of those that are read, each is so many bytes behind the first, if it is staged, and so is
  // that of each linear dim from `first_dim` on.
  struct Staged {
    const std::vector<int32_t>& columns;
    int64_t first_dim;
    std::vector<int64_t> offsets, linear_offsets;
  };
  Staged staged(const std::vector<int32_t>& columns, int64_t first_dim) const;
  void encode_staged(Workspace& work, InputView x, int64_t first_block, const Staged& staged) const;
  void stage(Workspace& work, InputView x, const Staged& staged) const;
  template <typename To, typename From>
  void stage_elements(To* to_staged, MatrixView<const From> x, int64_t first_row, const Staged& staged) const;
  struct ColumnOffsets {
    const std::vector<int64_t>& columns;
    const std::vector<int64_t>& linear;
    int64_t first_dim;
  };
  void call_encode(InputType type, const void* columns, const ColumnOffsets& offsets, int64_t n_blocks,
                   uint8_t* codes) const;

  // The type that rows are staged as: their own, or float32 where the runner knows no other.
  InputType staged_type(InputView x) const { return runner_.encodes(x.type) ? x.type : InputType::kFloat32; }

  // execute_scan.cpp: codes -> values of four bytes.
  struct ScanKinds {
    codegen::RoutineKind to_rows, to_columns, accumulate;
    bool scaled;  // outputs have scales; sums have none
  };
  static const ScanKinds kOutputs;
  void scan(const ScanKinds& kinds, const Rows& rows, MatrixView<float> y) const;
  void scan_chunk(const ScanKinds& kinds, Workspace& work, MatrixView<float> y) const;
  bool is_streamed(const Rows& rows, MatrixView<float> y, int64_t call_rows) const;
  int64_t rows_before_streaming(MatrixView<float> y) const;
  bool accumulates_rows(MatrixView<float> y) const;
  void accumulate_chunk(const ScanKinds& kinds, Workspace& work, MatrixView<float> y) const;
  void stream_rows(Workspace& work, int64_t first, MatrixView<float> y) const;
  template <typename Body>
  void for_lane_bytes(int64_t begin, int64_t end, Body&& body) const;
  void accumulate(const ScanKinds& kinds, Workspace& work, int64_t first, MatrixView<float> y) const;
  void scan_block_to_any(const ScanKinds& kinds, Workspace& work, int64_t block, MatrixView<float> y) const;

  const codegen::Schedule& schedule() const { return runner_.schedule(); }
  const codegen::CodeLayout& layout() const { return schedule().codes; }
  // Fours of linear dims that are columns: those of latents are behind them.
  int64_t n_column_fours() const {
    return static_cast<int64_t>(linear_places_.size()) / codegen::CodeLayout::kBytesOfLane;
  }
  int64_t n_tiles() const { return divide_up(n_outputs_, schedule().accumulate.tile_outputs); }
  int64_t chunk_rows() const { return int64_t{schedule().call.chunk_blocks} * layout().block_rows(); }

  const Runner& runner_;
  const TableLayouts& tables_;
  const Executor* latents_;
  int64_t n_outputs_;
  int64_t n_lines_;                     // cache lines per row of float32 with columns that are read
  std::vector<int32_t> linear_places_;  // of the linear dims, to whole fours: which of the columns that are read
  Staged all_, of_rows_;                // of any rows, and of row-major ones
};

}  // namespace mithral
