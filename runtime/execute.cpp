#include "runtime/execute.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "codegen/float_environment.h"
#include "codegen/rounding.h"
#include "runtime/scratch.h"
#include "runtime/stream_stores.h"
#include "runtime/top_k.h"

namespace mithral {
namespace {

using codegen::Routine;

constexpr int64_t kFloatBytes = sizeof(float);  // and those of an int32

int64_t address(const void* pointer) { return static_cast<int64_t>(reinterpret_cast<uintptr_t>(pointer)); }

// Rows or columns are contiguous, so the scan routines can write whole blocks of y where it lies.
template <typename T>
bool is_written_in_place(MatrixView<T> y) {
  return y.row_stride == 1 || y.col_stride == 1;
}

// Values of four bytes that are only moved.
template <typename T>
MatrixView<float> as_floats(MatrixView<T> y) {
  static_assert(sizeof(T) == sizeof(float));
  return {reinterpret_cast<float*>(y.data), y.rows, y.cols, y.row_stride, y.col_stride};
}

template <typename To, typename From>
To converted(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else {
    return to_float(value);
  }
}

}  // namespace

// Per thread, so that calls share nothing and take no lock.
struct Executor::Workspace {
  Scratch<uint8_t> codes_scratch;
  Scratch<float> staged_scratch;
  Scratch<float> tile_scratch;
  Scratch<float> block_scratch;
  Scratch<float> scores_scratch;
  Scratch<float> best_scratch;
  Scratch<int32_t> index_scratch;
  TopK top_k;
  std::vector<int64_t> column_offsets;  // bytes from x to each used column, for column-major x

  uint8_t* codes = nullptr;  // one chunk (codegen/layout.h)
  float* staged = nullptr;   // staged columns (codegen/layout.h)
  float* tile = nullptr;     // scratch of routines that compute some outputs at a time
  float* block = nullptr;    // outputs on their way to y, float32 or int32; null where a call needs none
};

Executor::Workspace& Executor::workspace() {
  thread_local Workspace work;
  return work;
}

Executor::Executor(const Model& model, const Routines& routines) : routines_(routines), n_outputs_(model.n_outputs()) {
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

void Executor::run(InputView x, MatrixView<float> y, int64_t call_bytes) const {
  const bool streamed = call_bytes >= schedule().stream_bytes && can_be_streamed(y);
  scan({Routine::kScanToRows, Routine::kScanToColumns, Routine::kAccumulate}, x, y, streamed);
}

void Executor::sums(InputView x, MatrixView<int32_t> y) const {
  scan({Routine::kSumsToRows, Routine::kSumsToColumns, Routine::kAccumulateSums}, x, y, false);
}

template <typename T>
void Executor::scan(ScanRoutines routines, InputView x, MatrixView<T> y, bool streamed) const {
  static_assert(sizeof(T) == kFloatBytes);
  Workspace& work = workspace();
  if (streamed || !is_written_in_place(y) || y.rows % layout().block_rows() != 0) {
    work.block = work.block_scratch.at_least(block_scratch_floats(streamed));
  }
  for_chunks(work, x,
             [&](int64_t row, int64_t count) { scan_chunk(routines, work, y.row_range(row, count), streamed); });
  if (streamed) finish_streaming();
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

void Executor::encode_chunk(Workspace& work, InputView x) const {
  if (x.row_stride == 1 && routines_.encodes(x.type)) {
    encode_columns(work, x);
  } else {
    encode_staged(work, x, 0);
  }
}

// Column-major rows are encoded in place; those that do not fill a block are staged, so nothing past them is read.
void Executor::encode_columns(Workspace& work, InputView x) const {
  const int64_t blocks = x.rows / layout().block_rows();
  const int64_t full_rows = blocks * layout().block_rows();
  if (blocks > 0) call_encode(x.type, x.data, work.column_offsets, blocks, work.codes);
  if (full_rows < x.rows) encode_staged(work, x.row_range(full_rows, x.rows - full_rows), blocks);
}

void Executor::encode_staged(Workspace& work, InputView x, int64_t first_block) const {
  const int64_t staged_rows = schedule().staged_rows;
  const int64_t block_rows = layout().block_rows();
  for (int64_t row = 0; row < x.rows; row += staged_rows) {
    const int64_t count = std::min(staged_rows, x.rows - row);
    stage(work, x.row_range(row, count));
    uint8_t* codes = work.codes + (first_block + row / block_rows) * layout().block_bytes();
    call_encode(staged_type(x), work.staged, staged_offsets_, divide_up(count, block_rows), codes);
  }
}

// Copies the used columns of up to staged_rows rows. Row-major float32 goes through the kernel's routine in groups of a
// vector; single rows, rows of other strides, and other types, one element at a time.
void Executor::stage(Workspace& work, InputView x) const {
  const bool by_routine = x.type == InputType::kFloat32 && x.col_stride == 1;
  const int64_t groups = by_routine ? x.rows / layout().lanes : 0;
  if (groups > 0) {
    const int64_t args[] = {address(x.data), x.row_stride * kFloatBytes, address(work.staged), groups};
    routines_.run(Routine::kStageRows, args);
  }
  const int64_t done = groups * layout().lanes;
  x.visit([&]<typename From>(MatrixView<const From> rows) {
    if (staged_type(x) == x.type) {
      stage_elements(reinterpret_cast<From*>(work.staged), rows, done);
    } else {
      stage_elements(work.staged, rows, done);
    }
  });
}

// A few rows at a time, so that their cache lines are still there for the next column.
template <typename To, typename From>
void Executor::stage_elements(To* staged, MatrixView<const From> x, int64_t first_row) const {
  constexpr int64_t kRowsAtOnce = 16;
  const int64_t stride = x.row_stride;
  const int64_t column_elements = schedule().staged_rows * kFloatBytes / static_cast<int64_t>(sizeof(To));
  const std::span<const int32_t> columns = routines_.columns();
  if (columns.empty()) return;
  for (int64_t begin = first_row; begin < x.rows; begin += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, x.rows - begin);
    To* to = staged + begin;
    for (const int32_t column : columns) {
      const From* from = &x(begin, column);
      for (int64_t i = 0; i < count; ++i) to[i] = converted<To>(from[i * stride]);
      to += column_elements;
    }
  }
}

void Executor::call_encode(InputType type, const void* columns, const std::vector<int64_t>& offsets, int64_t n_blocks,
                           uint8_t* codes) const {
  const int64_t args[] = {address(columns), address(offsets.data()), n_blocks, address(codes)};
  routines_.run(codegen::encode_routine(type), args);
}

template <typename T>
void Executor::scan_chunk(ScanRoutines routines, Workspace& work, MatrixView<T> y, bool streamed) const {
  if (accumulates_rows(y)) return accumulate_chunk(routines.accumulate, work, y, streamed);
  const int64_t block_rows = layout().block_rows();
  const bool to_columns = y.row_stride == 1;
  const int64_t blocks = is_written_in_place(y) ? y.rows / block_rows : 0;
  if (blocks > 0 && to_columns && streamed) {
    stream_columns(work, as_floats(y.row_range(0, blocks * block_rows)));
  } else if (blocks > 0 && to_columns) {
    const int64_t args[] = {address(work.codes), address(y.data), y.col_stride * kFloatBytes, blocks};
    routines_.run(routines.to_columns, args);
  } else if (blocks > 0) {
    const int64_t args[] = {address(work.codes), address(y.data), y.row_stride * kFloatBytes, blocks,
                            address(work.tile)};
    routines_.run(routines.to_rows, args);
  }
  for (int64_t row = blocks * block_rows; row < y.rows; row += block_rows) {
    scan_block_to_any(routines, work, row / block_rows, y.row_range(row, std::min(block_rows, y.rows - row)));
  }
}

// Whether the routines that write outputs of this order leave them in scratch first.
bool Executor::can_be_streamed(MatrixView<float> y) const {
  return address(y.data) % kFloatBytes == 0 && (y.row_stride == 1 || accumulates_rows(y));
}

int64_t Executor::block_scratch_floats(bool streamed) const {
  const int64_t block = n_outputs_ * layout().block_rows();
  if (!streamed) return block;
  return std::max({block, StreamScratch::n_floats(schedule().accumulated_rows, n_outputs_),
                   StreamScratch::n_floats(schedule().streamed_outputs, chunk_rows())});
}

template <typename T>
bool Executor::accumulates_rows(MatrixView<T> y) const {
  return y.col_stride == 1 && (n_outputs_ >= schedule().accumulate_from || y.rows < layout().block_rows());
}

// Some rows at a time, so that a tile's tables are read from L1 for all of them. Streamed outputs go through scratch:
// between other reads and writes, lines would leave the CPU half written.
template <typename T>
void Executor::accumulate_chunk(Routine routine, Workspace& work, MatrixView<T> y, bool streamed) const {
  const int64_t step = schedule().accumulated_rows;
  for (int64_t row = 0; row < y.rows; row += step) {
    const MatrixView<float> rows = as_floats(y.row_range(row, std::min(step, y.rows - row)));
    const MatrixView<float> to = streamed ? StreamScratch::in(work.block, rows) : rows;
    accumulate(routine, work, row, to);
    if (streamed) stream_rows(to, rows);
  }
}

// Whole blocks, some outputs at a time by way of scratch.
void Executor::stream_columns(Workspace& work, MatrixView<float> y) const {
  const int64_t step = schedule().streamed_outputs;
  for (int64_t first = 0; first < n_outputs_; first += step) {
    const int64_t outputs = std::min(step, n_outputs_ - first);
    const MatrixView<float> to = {y.data + first * y.col_stride, outputs, y.rows, y.col_stride, 1};
    const MatrixView<float> scratch = StreamScratch::in(work.block, to);
    const int64_t args[] = {address(work.codes),
                            address(scratch.data),
                            scratch.row_stride * kFloatBytes,
                            y.rows / layout().block_rows(),
                            first,
                            outputs};
    routines_.run(Routine::kRangeToColumns, args);
    stream_rows(scratch, to);
  }
}

// Rows from `first` of the chunk on. Tile by tile, and within it the rows that share a byte of their lanes at once.
void Executor::accumulate(Routine routine, Workspace& work, int64_t first, MatrixView<float> y) const {
  const int64_t full = n_outputs_ / schedule().row_tile_outputs;
  const bool rest = n_outputs_ % schedule().row_tile_outputs != 0;
  const bool at_once = y.rows <= layout().lanes;
  for (int64_t tile = 0; tile < full + rest; tile += at_once ? full + rest : 1) {
    for (int64_t row = 0; row < y.rows; row += layout().lanes) {
      const int64_t args[] = {address(work.codes + layout().offset(first + row, 0)),
                              address(y.data + row * y.row_stride + tile * schedule().row_tile_outputs),
                              y.row_stride * kFloatBytes,
                              std::min<int64_t>(layout().lanes, y.rows - row),
                              tile,
                              at_once ? full : tile < full,
                              at_once ? rest : tile == full};
      routines_.run(routine, args);
    }
  }
}

// A block that y does not fill, or of a y that is neither row-major nor column-major: into scratch, then element by
// element.
template <typename T>
void Executor::scan_block_to_any(ScanRoutines routines, Workspace& work, int64_t block, MatrixView<T> y) const {
  const MatrixView<float> scratch = row_major(work.block, y.rows, n_outputs_);
  accumulate(routines.accumulate, work, block * layout().block_rows(), scratch);
  const MatrixView<float> to = as_floats(y);
  for (int64_t row = 0; row < y.rows; ++row) {
    for (int64_t m = 0; m < n_outputs_; ++m) std::memcpy(&to(row, m), &scratch(row, m), kFloatBytes);
  }
}

}  // namespace mithral
