// One call, cut into chunks: encode some rows, scan their codes while they are in cache, go on. The same for every
// backend.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/model/input_view.h"
#include "codegen/model/matrix_view.h"
#include "codegen/model/model.h"
#include "codegen/model/multiples.h"
#include "runtime/routines.h"

namespace mithral {

class Executor {
 public:
  // Keeps a reference: `routines` must outlive the executor.
  Executor(const Model& model, const Routines& routines);

  // Whole call for checked, non-overlapping views of equal rows. Any strides and input type; row-major and column-major
  // ones are used in place.
  // `call_rows`: of the whole call, of which these may be a part; large calls write past the caches.
  void run(InputView x, MatrixView<float> y, int64_t call_rows) const;
  void run(InputView x, MatrixView<float> y) const { run(x, y, x.rows); }

  // The integer sums that y = float(sum) * scale + offset is made of; y as above.
  void sums(InputView x, MatrixView<int32_t> y) const;

  // indices (N, 1): for each row the first output with the largest value.
  void argmax(InputView x, MatrixView<int64_t> indices) const;

  // values and indices (N, k): for each row the k largest values, falling, the lower output first of equal ones.
  void top_k(InputView x, MatrixView<float> values, MatrixView<int64_t> indices) const;

  // Codes only, from the routines' own layout into codes (N, C).
  void encode(InputView x, MatrixView<uint8_t> codes) const;

 private:
  struct Workspace;
  static Workspace& workspace();

  // Encodes chunk by chunk and calls `take(first_row, rows)` after each, whose codes are then in the workspace.
  template <typename Take>
  void for_chunks(Workspace& work, InputView x, Take&& take) const;
  void prepare(Workspace& work, InputView x) const;

  // execute_encode.cpp: rows -> codes.
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

  void argmax_of_few(Workspace& work, MatrixView<int64_t> indices) const;
  void top_k_of_rows(Workspace& work, int64_t first_row, MatrixView<float> values, MatrixView<int64_t> indices) const;

  // execute_scan.cpp: codes -> values of four bytes.
  struct ScanRoutines {
    codegen::Routine to_rows, to_columns, accumulate;
  };
  void scan(ScanRoutines routines, InputView x, MatrixView<float> y) const;
  void scan_chunk(ScanRoutines routines, Workspace& work, MatrixView<float> y) const;
  bool is_streamed(InputView x, MatrixView<float> y, int64_t call_rows) const;
  int64_t rows_before_streaming(MatrixView<float> y) const;
  bool accumulates_rows(MatrixView<float> y) const;
  void accumulate_chunk(codegen::Routine routine, Workspace& work, MatrixView<float> y) const;
  void stream_rows(codegen::Routine routine, Workspace& work, int64_t first, MatrixView<float> y) const;
  template <typename Body>
  void for_groups(int64_t begin, int64_t end, Body&& body) const;
  void accumulate(codegen::Routine routine, Workspace& work, int64_t first, MatrixView<float> y) const;
  void scan_block_to_any(ScanRoutines routines, Workspace& work, int64_t block, MatrixView<float> y) const;

  const codegen::Schedule& schedule() const { return routines_.schedule(); }
  const codegen::CodeLayout& layout() const { return schedule().codes; }
  int64_t n_tiles() const { return divide_up(n_outputs_, schedule().row_tile_outputs); }
  int64_t chunk_rows() const { return int64_t{schedule().chunk_blocks} * layout().block_rows(); }

  const Routines& routines_;
  int64_t n_outputs_;
  int64_t n_lines_;                      // cache lines of a row of float32 with columns that are read
  std::vector<int64_t> staged_offsets_;  // bytes from the staged columns' start to each of them
};

}  // namespace mithral
