#include "runtime/execute.h"

#include <algorithm>

#include "codegen/encode/trees/tree_structure.h"
#include "codegen/model/float_environment.h"
#include "codegen/model/multiples.h"
#include "runtime/row_lines.h"
#include "runtime/workspace.h"

namespace mithral {
namespace {

using codegen::Routine;

// Values of four bytes that are only moved.
MatrixView<float> as_floats(MatrixView<int32_t> y) {
  return {reinterpret_cast<float*>(y.data), y.rows, y.cols, y.row_stride, y.col_stride};
}

}  // namespace

Executor::Workspace& Executor::workspace() {
  thread_local Workspace work;
  return work;
}

Executor::Executor(const Model& model, const Routines& routines)
    : routines_(routines), n_outputs_(model.n_outputs()), n_lines_(codegen::count_lines(routines.columns())) {
  for (size_t u = 0; u < routines.columns().size(); ++u) {
    staged_offsets_.push_back(static_cast<int64_t>(u) * schedule().staged_rows * kFloatBytes);
  }
}

template <typename Take>
void Executor::for_chunks(Workspace& work, InputView x, Take&& take) const {
  const DefaultFloatEnvironment ieee;
  prepare(work, x);
  for (int64_t row = 0; row < x.rows; row += chunk_rows()) {
    const int64_t count = std::min(chunk_rows(), x.rows - row);
    encode_chunk(work, x.row_range(row, count));
    take(row, count);
  }
}

void Executor::run(InputView x, MatrixView<float> y, int64_t call_rows) const {
  ScanRoutines routines = {Routine::kScanToRows, Routine::kScanToColumns, Routine::kAccumulate};
  if (!is_streamed(x, y, call_rows)) return scan(routines, x, y);
  const StreamFence fence;
  const int64_t head = std::min(rows_before_streaming(y), y.rows);
  scan(routines, x.row_range(0, head), y.row_range(0, head));
  if (accumulates_rows(y)) {
    routines.accumulate = Routine::kStreamToRows;
  } else {
    routines.to_columns = Routine::kStreamToColumns;
  }
  scan(routines, x.row_range(head, x.rows - head), y.row_range(head, y.rows - head));
}

void Executor::sums(InputView x, MatrixView<int32_t> y) const {
  scan({Routine::kSumsToRows, Routine::kSumsToColumns, Routine::kAccumulateSums}, x, as_floats(y));
}

void Executor::scan(ScanRoutines routines, InputView x, MatrixView<float> y) const {
  Workspace& work = workspace();
  for_chunks(work, x, [&](int64_t row, int64_t count) { scan_chunk(routines, work, y.row_range(row, count)); });
}

// Rows that do not fill a block are compared as a whole one, as long as there is one: results go to scratch first.
void Executor::argmax(InputView x, MatrixView<int64_t> indices) const {
  Workspace& work = workspace();
  const int64_t rows = std::min(chunk_rows(), round_up(x.rows, layout().block_rows()));
  float* best = work.best_scratch.at_least(rows);
  int32_t* index = work.index_scratch.at_least(rows);
  for_chunks(work, x, [&](int64_t first, int64_t count) {
    if (count < layout().block_rows()) return argmax_of_few(work, indices.row_range(first, count));
    const int64_t args[] = {address(work.codes), address(best), address(index), divide_up(count, layout().block_rows()),
                            address(work.tile)};
    routines_.run(Routine::kArgmax, args);
    for (int64_t row = 0; row < count; ++row) indices(first + row, 0) = index[row];
  });
}

// Row by row, by way of scratch for one of them.
void Executor::argmax_of_few(Workspace& work, MatrixView<int64_t> indices) const {
  float* scores = work.block_scratch.at_least(n_outputs_);
  for (int64_t row = 0; row < indices.rows; ++row) {
    accumulate(Routine::kAccumulate, work, row, row_major(scores, 1, n_outputs_));
    indices(row, 0) = std::max_element(scores, scores + n_outputs_) - scores;  // the first of several
  }
}

void Executor::top_k(InputView x, MatrixView<float> values, MatrixView<int64_t> indices) const {
  Workspace& work = workspace();
  for_chunks(work, x, [&](int64_t first, int64_t count) {
    for (int64_t row = 0; row < count; row += TopK::kMostRows) {
      const int64_t rows = std::min(TopK::kMostRows, count - row);
      top_k_of_rows(work, row, values.row_range(first + row, rows), indices.row_range(first + row, rows));
    }
  });
}

// Rows from `first_row` of the chunk on. Some outputs of all rows, then the next ones: their tables stay in cache.
void Executor::top_k_of_rows(Workspace& work, int64_t first_row, MatrixView<float> values,
                             MatrixView<int64_t> indices) const {
  const int64_t block_rows = layout().block_rows(), tile_rows = schedule().tall_tile * block_rows;
  const int64_t rows = round_up(values.rows, block_rows);
  float* scores = work.scores_scratch.at_least(std::min<int64_t>(n_outputs_, schedule().selected_outputs) * tile_rows);
  work.top_k.begin(rows, values.cols);
  for (int64_t output = 0; output < n_outputs_; output += schedule().selected_outputs) {
    const int64_t outputs = std::min<int64_t>(schedule().selected_outputs, n_outputs_ - output);
    for (int64_t row = 0; row < rows; row += tile_rows) {
      const int64_t count = std::min(tile_rows, rows - row);
      const uint8_t* codes = work.codes + (first_row + row) / block_rows * layout().block_bytes();
      const int64_t args[] = {address(codes),     address(scores), tile_rows * kFloatBytes,
                              count / block_rows, output,          outputs};
      routines_.run(Routine::kRangeToColumns, args);
      work.top_k.take(scores, tile_rows, row, count, output, outputs);
    }
  }
  work.top_k.finish(values, indices);
}

void Executor::encode(InputView x, MatrixView<uint8_t> codes) const {
  Workspace& work = workspace();
  for_chunks(work, x, [&](int64_t first, int64_t count) {
    for (int64_t row = 0; row < count; ++row) {
      for (int64_t c = 0; c < codes.cols; ++c) {
        codes(first + row, c) = work.codes[layout().offset(row, c)] & layout().code_mask();
      }
    }
  });
}

void Executor::prepare(Workspace& work, InputView x) const {
  const auto n_columns = static_cast<int64_t>(routines_.columns().size());
  const int64_t tile_rows = int64_t{schedule().tall_tile} * layout().block_rows();
  work.codes = work.codes_scratch.at_least(schedule().chunk_blocks * layout().block_bytes());
  work.staged = work.staged_scratch.at_least(n_columns * schedule().staged_rows);
  work.tile = work.tile_scratch.at_least(std::max(schedule().tile_outputs, schedule().compared_outputs) * tile_rows);
  if (x.row_stride != 1) return;
  work.column_offsets.clear();
  for (const int32_t column : routines_.columns()) {
    work.column_offsets.push_back(column * x.col_stride * element_bytes(x.type));
  }
}

}  // namespace mithral
