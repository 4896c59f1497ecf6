// Executor: codes of a chunk -> outputs, float32 or int32, which are only moved here.
#include <algorithm>
#include <cstring>

#include "codegen/line_stream.h"
#include "codegen/rounding.h"
#include "runtime/execute.h"
#include "runtime/row_lines.h"
#include "runtime/workspace.h"

namespace mithral {
namespace {

using codegen::LineStream;
using codegen::Routine;

// Rows or columns are contiguous, so the scan routines can write whole blocks of y where it lies.
bool is_written_in_place(MatrixView<float> y) { return y.row_stride == 1 || y.col_stride == 1; }

}  // namespace

void Executor::scan_chunk(ScanRoutines routines, Workspace& work, MatrixView<float> y, RowRange streamed) const {
  if (accumulates_rows(y)) return accumulate_chunk(routines.accumulate, work, y, streamed);
  const int64_t block_rows = layout().block_rows();
  const int64_t blocks = is_written_in_place(y) ? y.rows / block_rows : 0;
  if (blocks > 0 && y.row_stride == 1) {
    scan_to_columns(routines.to_columns, work, y.row_range(0, blocks * block_rows), streamed);
  } else if (blocks > 0) {
    const int64_t args[] = {address(work.codes), address(y.data), y.row_stride * kFloatBytes, blocks,
                            address(work.tile)};
    routines_.run(routines.to_rows, args);
  }
  for (int64_t row = blocks * block_rows; row < y.rows; row += block_rows) {
    scan_block_to_any(routines, work, row / block_rows, y.row_range(row, std::min(block_rows, y.rows - row)));
  }
}

// Whole blocks.
void Executor::scan_to_columns(Routine routine, Workspace& work, MatrixView<float> y, RowRange streamed) const {
  const int64_t block_rows = layout().block_rows();
  const auto scan_rows = [&](Routine to_columns, int64_t begin, int64_t end) {
    if (begin >= end) return;
    const int64_t args[] = {address(work.codes + begin / block_rows * layout().block_bytes()), address(&y(begin, 0)),
                            y.col_stride * kFloatBytes, (end - begin) / block_rows, address(work.tile)};
    routines_.run(to_columns, args);
  };
  const int64_t begin = round_up(streamed.begin, block_rows), end = round_down(streamed.end, block_rows);
  if (begin >= end) return scan_rows(routine, 0, y.rows);
  scan_rows(routine, 0, begin);
  scan_rows(Routine::kStreamToColumns, begin, end);
  scan_rows(routine, end, y.rows);
}

// Of row-major input the lines of used columns are touched.
bool Executor::is_streamed(InputView x, MatrixView<float> y, int64_t call_rows) const {
  const bool contiguous = accumulates_rows(y) ? y.row_stride == n_outputs_ : y.row_stride == 1;
  if (!routines_.streams() || !contiguous || address(y.data) % kFloatBytes != 0) return false;
  const int64_t column_bytes = x.row_stride == 1 ? element_bytes(x.type) : LineStream::kLineBytes;
  const int64_t input_bytes =
      std::min(static_cast<int64_t>(routines_.columns().size()) * column_bytes, x.cols * element_bytes(x.type));
  return call_rows * (input_bytes + n_outputs_ * kFloatBytes) >= schedule().stream_bytes;
}

// Of the rows of a chunk, those that may be streamed: a line's worth of this view's values is before them, and with
// columns another after them.
Executor::RowRange Executor::streamed_rows(MatrixView<float> y, int64_t first, int64_t count) const {
  constexpr int64_t kLineFloats = LineStream::kLineBytes / kFloatBytes;
  if (accumulates_rows(y)) return {std::max(divide_up(kLineFloats, n_outputs_) - first, int64_t{0}), count};
  return {std::max(kLineFloats - first, int64_t{0}), std::min(y.rows - kLineFloats - first, count)};
}

bool Executor::accumulates_rows(MatrixView<float> y) const {
  return y.col_stride == 1 && (n_outputs_ >= schedule().accumulate_from || y.rows < layout().block_rows());
}

void Executor::accumulate_chunk(Routine routine, Workspace& work, MatrixView<float> y, RowRange streamed) const {
  if (streamed.begin >= streamed.end) return accumulate_rows(routine, work, y, 0, y.rows);
  accumulate_rows(routine, work, y, 0, streamed.begin);
  for (int64_t row = streamed.begin; row < streamed.end; row += schedule().accumulated_rows) {
    stream_rows(work, y, row, std::min<int64_t>(row + schedule().accumulated_rows, streamed.end));
  }
  accumulate_rows(routine, work, y, streamed.end, y.rows);
}

// Rows `begin` to `end` of a chunk. What is in a line with them is read before the first one, and left alone behind
// the last one.
void Executor::stream_rows(Workspace& work, MatrixView<float> y, int64_t begin, int64_t end) const {
  const bool one_tile = schedule().row_fits_tile(n_outputs_);
  RowLines lines(work.lines, &y(begin, 0), n_outputs_, one_tile);
  lines.begin();
  for (int64_t tile = 0; tile < n_tiles(); ++tile) {
    const bool first = tile == 0 && !one_tile;
    const bool full = !first && (tile + 1) * schedule().row_tile_outputs <= n_outputs_;
    for_groups(begin, end, [&](int64_t row, int64_t count) {
      const int64_t args[] = {address(work.codes + layout().offset(row, 0)),
                              address(&y(row, tile * schedule().row_tile_outputs)),
                              address(work.tile),
                              count,
                              tile,
                              full,
                              !first && !full,
                              first,
                              address(lines.of(row - begin))};
      routines_.run(Routine::kStreamToRows, args);
    });
  }
  lines.end(end - begin);
}

// Rows `begin` to `end` of a chunk, some at a time, so that a tile's tables are read from L1 for all of them.
void Executor::accumulate_rows(Routine routine, Workspace& work, MatrixView<float> y, int64_t begin,
                               int64_t end) const {
  for (int64_t row = begin; row < end; row += schedule().accumulated_rows) {
    const int64_t count = std::min<int64_t>(schedule().accumulated_rows, end - row);
    accumulate(routine, work, row, y.row_range(row, count));
  }
}

// Calls `body(row, count)` for the rows that share a byte of their lanes, in order.
template <typename Body>
void Executor::for_groups(int64_t begin, int64_t end, Body&& body) const {
  const int64_t lanes = layout().lanes;
  for (int64_t row = begin; row < end; row = round_down(row, lanes) + lanes) {
    body(row, std::min(round_down(row, lanes) + lanes, end) - row);
  }
}

// Rows from `first` of the chunk on. Tile by tile, and within it the rows that share a byte of their lanes at once.
void Executor::accumulate(Routine routine, Workspace& work, int64_t first, MatrixView<float> y) const {
  const int64_t full = n_outputs_ / schedule().row_tile_outputs, rest = n_tiles() - full;
  const bool at_once = y.rows <= layout().lanes;
  for (int64_t tile = 0; tile < n_tiles(); tile += at_once ? n_tiles() : 1) {
    for_groups(first, first + y.rows, [&](int64_t row, int64_t count) {
      const int64_t args[] = {address(work.codes + layout().offset(row, 0)),
                              address(&y(row - first, tile * schedule().row_tile_outputs)),
                              y.row_stride * kFloatBytes,
                              count,
                              tile,
                              at_once ? full : tile < full,
                              at_once ? rest : tile == full};
      routines_.run(routine, args);
    });
  }
}

// A block that y does not fill, or of a y that is neither row-major nor column-major: into scratch, then element by
// element.
void Executor::scan_block_to_any(ScanRoutines routines, Workspace& work, int64_t block, MatrixView<float> y) const {
  const MatrixView<float> scratch = row_major(work.block_scratch.at_least(y.rows * n_outputs_), y.rows, n_outputs_);
  accumulate(routines.accumulate, work, block * layout().block_rows(), scratch);
  for (int64_t row = 0; row < y.rows; ++row) {
    for (int64_t m = 0; m < n_outputs_; ++m) std::memcpy(&y(row, m), &scratch(row, m), kFloatBytes);
  }
}

}  // namespace mithral
