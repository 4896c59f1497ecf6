// Executor: codes of a chunk -> outputs, float32 or int32, which are only moved here.
#include <algorithm>
#include <cstring>

#include "codegen/model/multiples.h"
#include "codegen/scan/line_stream.h"
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

void Executor::scan_chunk(ScanRoutines routines, Workspace& work, MatrixView<float> y) const {
  if (accumulates_rows(y)) return accumulate_chunk(routines.accumulate, work, y);
  const int64_t block_rows = layout().block_rows();
  const bool to_columns = y.row_stride == 1;
  const int64_t blocks = is_written_in_place(y) ? y.rows / block_rows : 0;
  if (blocks > 0) {
    const int64_t stride = to_columns ? y.col_stride : y.row_stride;
    const int64_t args[] = {address(work.codes), address(y.data), stride * kFloatBytes, blocks, address(work.tile)};
    routines_.run(to_columns ? routines.to_columns : routines.to_rows, args);
  }
  for (int64_t row = blocks * block_rows; row < y.rows; row += block_rows) {
    scan_block_to_any(routines, work, row / block_rows, y.row_range(row, std::min(block_rows, y.rows - row)));
  }
}

// Columns are streamed if all of them begin equally far behind a cache line, rows if they are contiguous. Of row-major
// input the lines of used columns are touched.
bool Executor::is_streamed(InputView x, MatrixView<float> y, int64_t call_rows) const {
  const bool possible = accumulates_rows(y)
                            ? y.row_stride == n_outputs_
                            : y.row_stride == 1 && y.col_stride * kFloatBytes % LineStream::kLineBytes == 0;
  if (!routines_.streams() || !possible || address(y.data) % kFloatBytes != 0) return false;
  const int64_t input_bytes = x.row_stride == 1
                                  ? static_cast<int64_t>(routines_.columns().size()) * element_bytes(x.type)
                                  : std::min(n_lines_ * LineStream::kLineBytes, x.cols * element_bytes(x.type));
  return call_rows * (input_bytes + n_outputs_ * kFloatBytes) >= schedule().stream_bytes;
}

// Columns: until a cache line begins. Rows: as many as put a line's worth of their values before the others.
int64_t Executor::rows_before_streaming(MatrixView<float> y) const {
  if (accumulates_rows(y)) return divide_up(RowLines::kLineFloats, n_outputs_);
  return (RowLines::kLineFloats - RowLines::floats_before(y.data)) % RowLines::kLineFloats;
}

bool Executor::accumulates_rows(MatrixView<float> y) const {
  return y.col_stride == 1 && (n_outputs_ >= schedule().accumulate_from || y.rows < layout().block_rows());
}

// Some rows at a time, so that a tile's tables are read from L1 for all of them.
void Executor::accumulate_chunk(Routine routine, Workspace& work, MatrixView<float> y) const {
  const auto write = routine == Routine::kStreamToRows ? &Executor::stream_rows : &Executor::accumulate;
  for (int64_t row = 0; row < y.rows; row += schedule().accumulated_rows) {
    (this->*write)(routine, work, row, y.row_range(row, std::min<int64_t>(schedule().accumulated_rows, y.rows - row)));
  }
}

// As accumulate(). What is in a line with y is read before it, and left alone behind it.
void Executor::stream_rows(Routine routine, Workspace& work, int64_t first, MatrixView<float> y) const {
  const bool one_tile = schedule().row_fits_tile(n_outputs_);
  const int64_t tile_bytes = schedule().row_tile_outputs * kFloatBytes, line_floats = RowLines::n_floats(y.rows);
  float* memory = work.lines_scratch.at_least(line_floats + LineStream::buffer_bytes(tile_bytes) / kFloatBytes);
  RowLines lines(memory, y.data, n_outputs_, one_tile);
  lines.begin();
  for (int64_t tile = 0; tile < n_tiles(); ++tile) {
    const bool keeps_first = tile == 0 && !one_tile;
    const bool full = !keeps_first && (tile + 1) * schedule().row_tile_outputs <= n_outputs_;
    for_groups(first, first + y.rows, [&](int64_t row, int64_t count) {
      const int64_t args[] = {address(work.codes + layout().offset(row, 0)),
                              address(&y(row - first, tile * schedule().row_tile_outputs)),
                              address(memory + line_floats),
                              count,
                              tile,
                              full,
                              !keeps_first && !full,
                              keeps_first,
                              address(lines.of(row - first))};
      routines_.run(routine, args);
    });
  }
  lines.end(y.rows);
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
// element, of one column after the other: columns lie further apart than rows of scratch, often by multiples of a page.
void Executor::scan_block_to_any(ScanRoutines routines, Workspace& work, int64_t block, MatrixView<float> y) const {
  const MatrixView<float> scratch = row_major(work.block_scratch.at_least(y.rows * n_outputs_), y.rows, n_outputs_);
  accumulate(routines.accumulate, work, block * layout().block_rows(), scratch);
  for (int64_t m = 0; m < n_outputs_; ++m) {
    for (int64_t row = 0; row < y.rows; ++row) std::memcpy(&y(row, m), &scratch(row, m), kFloatBytes);
  }
}

}  // namespace mithral
