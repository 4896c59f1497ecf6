// Executor: codes of a chunk -> outputs, float32 or int32, which are only moved here.
#include <algorithm>
#include <cstring>

#include "codegen/model/multiples.h"
#include "codegen/program/sizes.h"
#include "codegen/scan/line_stream.h"
#include "runtime/execute.h"
#include "runtime/workspace.h"

namespace mithral {
namespace {

using codegen::AccumulateArguments;
using codegen::LineStream;
using codegen::RoutineKind;
using codegen::RowLines;

// Rows or columns are contiguous, so the scan routines can write whole blocks of y where it lies.
bool is_written_in_place(MatrixView<float> y) { return y.row_stride == 1 || y.col_stride == 1; }

constexpr int64_t kPageBytes = 4096, kPageFloats = kPageBytes / kFloatBytes;

// The first place from `memory` on that is as far into its page as `p`. CPUs tell loads from stores before them by that
// alone at first: one that reads at the same place in another page waits for nothing.
float* at_place_in_page(const float* p, float* memory) {
  const auto distance = reinterpret_cast<uintptr_t>(p) - reinterpret_cast<uintptr_t>(memory);
  return memory + distance % kPageBytes / kFloatBytes;
}

}  // namespace

void Executor::scan_chunk(const ScanKinds& kinds, Workspace& work, MatrixView<float> y) const {
  if (accumulates_rows(y)) return accumulate_chunk(kinds, work, y);
  const int64_t block_rows = layout().block_rows();
  const bool to_columns = y.row_stride == 1;
  const int64_t blocks = is_written_in_place(y) ? y.rows / block_rows : 0;
  if (blocks > 0) {
    runner_.run({to_columns ? kinds.to_columns : kinds.to_rows},
                codegen::ScanArguments{.codes = work.codes,
                                       .tables = tables_.lookup(),
                                       .scales = kinds.scaled ? tables_.scale_pairs() : nullptr,
                                       .y = y.data,
                                       .stride = (to_columns ? y.col_stride : y.row_stride) * kFloatBytes,
                                       .n_blocks = blocks,
                                       .tile = work.tile,
                                       .n_outputs = n_outputs_});
  }
  for (int64_t row = blocks * block_rows; row < y.rows; row += block_rows) {
    scan_block_to_any(kinds, work, row / block_rows, y.row_range(row, std::min(block_rows, y.rows - row)));
  }
}

// Columns are streamed if all of them begin equally far behind a cache line, rows if they are contiguous. Of row-major
// features the lines of used columns are touched.
bool Executor::is_streamed(const Rows& rows, MatrixView<float> y, int64_t call_rows) const {
  const bool possible =
      accumulates_rows(y) ? y.row_stride == n_outputs_ : y.row_stride == 1 && y.col_stride % kLineFloats == 0;
  const bool aligned = reinterpret_cast<uintptr_t>(y.data) % kFloatBytes == 0;
  if (!runner_.streams() || !possible || !aligned) return false;
  const InputView& x = rows.view;
  const int64_t input_bytes = rows.kind == Rows::Kind::kCodes ? x.cols
                              : x.row_stride == 1
                                  ? static_cast<int64_t>(runner_.columns().size()) * element_bytes(x.type)
                                  : std::min(n_lines_ * kLineBytes, x.cols * element_bytes(x.type));
  return call_rows * (input_bytes + n_outputs_ * kFloatBytes) >= schedule().call.stream_bytes;
}

// Columns: until a cache line begins. Rows: as many as put a line's worth of their values before the others.
int64_t Executor::rows_before_streaming(MatrixView<float> y) const {
  if (accumulates_rows(y)) return divide_up(kLineFloats, n_outputs_);
  return (kLineFloats - RowLines::floats_before(y.data)) % kLineFloats;
}

bool Executor::accumulates_rows(MatrixView<float> y) const {
  return y.col_stride == 1 && (n_outputs_ >= schedule().accumulate.min_outputs || y.rows < layout().block_rows());
}

// Some rows at a time, so that a tile's tables are read from L1 for all of them.
void Executor::accumulate_chunk(const ScanKinds& kinds, Workspace& work, MatrixView<float> y) const {
  const int64_t at_once = schedule().accumulate.rows;
  for (int64_t row = 0; row < y.rows; row += at_once) {
    const MatrixView<float> some = y.row_range(row, std::min(at_once, y.rows - row));
    if (kinds.accumulate == RoutineKind::kStreamToRows) {
      stream_rows(work, row, some);
    } else {
      accumulate(kinds, work, row, some);
    }
  }
}

// Rows that share a byte of their lanes, in order: `body(row, count)` is called for each.
template <typename Body>
void Executor::for_lane_bytes(int64_t begin, int64_t end, Body&& body) const {
  const int64_t lanes = layout().lanes;
  for (int64_t row = begin; row < end; row = round_down(row, lanes) + lanes) {
    body(row, std::min(round_down(row, lanes) + lanes, end) - row);
  }
}

// Rows from `first` of the chunk on. Tile by tile, and within it the rows that share a byte of their lanes at once.
void Executor::accumulate(const ScanKinds& kinds, Workspace& work, int64_t first, MatrixView<float> y) const {
  const int64_t tile_outputs = schedule().accumulate.tile_outputs;
  const int64_t full = n_outputs_ / tile_outputs, rest = n_tiles() - full;
  const bool at_once = y.rows <= layout().lanes;
  for (int64_t tile = 0; tile < n_tiles(); tile += at_once ? n_tiles() : 1) {
    for_lane_bytes(first, first + y.rows, [&](int64_t row, int64_t count) {
      runner_.run({kinds.accumulate}, AccumulateArguments{.codes = work.codes + layout().offset(row, 0),
                                                          .linear = work.codes + layout().linear_offset(row),
                                                          .tables = tables_.rows(tile),
                                                          .scales = kinds.scaled ? tables_.scale_tiles(tile) : nullptr,
                                                          .y = &y(row - first, tile * tile_outputs),
                                                          .row_stride = y.row_stride * kFloatBytes,
                                                          .n_rows = count,
                                                          .n_full = at_once ? full : tile < full,
                                                          .n_rest = at_once ? rest : tile == full});
    });
  }
}

// As accumulate(). What is in a line with y is read before it, and left alone behind it. What is written again and
// again lies behind the scales, as places in a page go: rows of 128 outputs took up to a quarter longer where it did
// not.
void Executor::stream_rows(Workspace& work, int64_t first, MatrixView<float> y) const {
  const int64_t tile_outputs = schedule().accumulate.tile_outputs;
  const bool one_tile = schedule().accumulate.row_fits_tile(n_outputs_);
  const int64_t line_floats = RowLines::n_floats(y.rows, one_tile);
  const int64_t buffer_floats = LineStream::buffer_bytes(tile_outputs * kFloatBytes) / kFloatBytes;
  float* scratch = work.lines_scratch.at_least(line_floats + buffer_floats + 2 * kPageFloats);
  const auto behind_scales = [&](int64_t tile) { return tables_.scale_tiles(tile) + 2 * tile_outputs; };
  float* line_memory = at_place_in_page(behind_scales(0), scratch);
  RowLines lines(line_memory, y.data, n_outputs_, one_tile);
  lines.begin();
  for (int64_t tile = 0; tile < n_tiles(); ++tile) {
    const bool keeps_first = tile == 0 && !one_tile;
    const bool full = !keeps_first && (tile + 1) * tile_outputs <= n_outputs_;
    float* buffer = at_place_in_page(behind_scales(tile) + kLineFloats, line_memory + line_floats);
    for_lane_bytes(first, first + y.rows, [&](int64_t row, int64_t count) {
      runner_.run({RoutineKind::kStreamToRows},
                  codegen::StreamRowsArguments{.codes = work.codes + layout().offset(row, 0),
                                               .linear = work.codes + layout().linear_offset(row),
                                               .tables = tables_.rows(tile),
                                               .scales = tables_.scale_tiles(tile),
                                               .y = &y(row - first, tile * tile_outputs),
                                               .buffer = buffer,
                                               .lines = lines.of(row - first),
                                               .n_rows = count,
                                               .n_first = keeps_first,
                                               .n_full = full,
                                               .n_rest = !keeps_first && !full});
    });
  }
  lines.end(y.rows);
}

// A block that y does not fill, or of a y that is neither row-major nor column-major: into scratch, then element by
// element, of one column after the other: columns lie further apart than rows of scratch, often by multiples of a page.
void Executor::scan_block_to_any(const ScanKinds& kinds, Workspace& work, int64_t block, MatrixView<float> y) const {
  const MatrixView<float> scratch = row_major(work.block_scratch.at_least(y.rows * n_outputs_), y.rows, n_outputs_);
  accumulate(kinds, work, block * layout().block_rows(), scratch);
  for (int64_t m = 0; m < n_outputs_; ++m) {
    for (int64_t row = 0; row < y.rows; ++row) std::memcpy(&y(row, m), &scratch(row, m), kFloatBytes);
  }
}

}  // namespace mithral
