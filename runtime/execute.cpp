#include "runtime/execute.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

#include "codegen/float_environment.h"

namespace mithral {
namespace {

using codegen::Routine;

constexpr int64_t kFloatBytes = sizeof(float);

int64_t address(const void* pointer) { return static_cast<int64_t>(reinterpret_cast<uintptr_t>(pointer)); }

// Rows or columns are contiguous, so the scan routines can write whole blocks of y where it lies.
bool is_written_in_place(MatrixView<float> y) { return y.row_stride == 1 || y.col_stride == 1; }

int64_t divide_up(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

template <typename To, typename From>
To converted(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else {
    return to_float(value);
  }
}

// Scratch that grows to the largest size asked for and is reused from call to call.
template <typename T>
class Scratch {
 public:
  T* at_least(int64_t count) {
    if (count > capacity_) {
      constexpr size_t kAlignment = 64;
      capacity_ = 0;  // stays so if the allocation fails
      const size_t bytes = divide_up(count * static_cast<int64_t>(sizeof(T)), kAlignment) * kAlignment;
      data_.reset(static_cast<T*>(std::aligned_alloc(kAlignment, bytes)));
      if (!data_) throw std::bad_alloc();
      std::fill_n(data_.get(), count, T{});
      capacity_ = count;
    }
    return data_.get();
  }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t capacity_ = 0;
};

}  // namespace

// Per thread, so that calls share nothing and take no lock.
struct Executor::Workspace {
  Scratch<uint8_t> codes_scratch;
  Scratch<float> staged_scratch;
  Scratch<float> tile_scratch;
  Scratch<float> block_scratch;
  std::vector<int64_t> column_offsets;  // bytes from x to each used column, for column-major x

  uint8_t* codes = nullptr;  // one chunk (codegen/layout.h)
  float* staged = nullptr;   // staged columns (codegen/layout.h)
  float* tile = nullptr;     // kScanToRows' scratch
  float* block = nullptr;    // the outputs of one block, column-major; null where a call needs none
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

void Executor::run(InputView x, MatrixView<float> y) const {
  const DefaultFloatEnvironment ieee;
  Workspace& work = workspace();
  prepare(work, x);
  if (!is_written_in_place(y) || y.rows % layout().block_rows() != 0) {
    work.block = work.block_scratch.at_least(n_outputs_ * layout().block_rows());
  }
  for (int64_t row = 0; row < x.rows; row += chunk_rows()) {
    const int64_t count = std::min(chunk_rows(), x.rows - row);
    encode_chunk(work, x.row_range(row, count));
    scan_chunk(work, y.row_range(row, count));
  }
}

void Executor::encode(InputView x, MatrixView<uint8_t> codes) const {
  const DefaultFloatEnvironment ieee;
  Workspace& work = workspace();
  prepare(work, x);
  for (int64_t first = 0; first < x.rows; first += chunk_rows()) {
    const int64_t count = std::min(chunk_rows(), x.rows - first);
    encode_chunk(work, x.row_range(first, count));
    for (int64_t row = 0; row < count; ++row) {
      for (int64_t c = 0; c < codes.cols; ++c) {
        codes(first + row, c) = work.codes[layout().offset(row, c)] & layout().code_mask();
      }
    }
  }
}

void Executor::prepare(Workspace& work, InputView x) const {
  const auto n_columns = static_cast<int64_t>(routines_.columns().size());
  const int64_t tile_rows = int64_t{schedule().tall_tile} * layout().block_rows();
  work.codes = work.codes_scratch.at_least(schedule().chunk_blocks * layout().block_bytes());
  work.staged = work.staged_scratch.at_least(n_columns * schedule().staged_rows);
  work.tile = work.tile_scratch.at_least(schedule().tile_outputs * tile_rows);
  work.column_offsets.clear();
  for (const int32_t column : routines_.columns())
    work.column_offsets.push_back(column * x.col_stride * element_bytes(x.type));
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

void Executor::scan_chunk(Workspace& work, MatrixView<float> y) const {
  const int64_t block_rows = layout().block_rows();
  const bool to_columns = y.row_stride == 1;
  const int64_t blocks = is_written_in_place(y) ? y.rows / block_rows : 0;
  if (blocks > 0 && to_columns) {
    const int64_t args[] = {address(work.codes), address(y.data), y.col_stride * kFloatBytes, blocks};
    routines_.run(Routine::kScanToColumns, args);
  } else if (blocks > 0) {
    const int64_t args[] = {address(work.codes), address(y.data), y.row_stride * kFloatBytes, blocks,
                            address(work.tile)};
    routines_.run(Routine::kScanToRows, args);
  }
  for (int64_t row = blocks * block_rows; row < y.rows; row += block_rows) {
    scan_block_to_any(work, row / block_rows, y.row_range(row, std::min(block_rows, y.rows - row)));
  }
}

// A block that y does not fill, or of a y that is neither row-major nor column-major: into scratch, then element by
// element.
void Executor::scan_block_to_any(Workspace& work, int64_t block, MatrixView<float> y) const {
  const int64_t block_rows = layout().block_rows();
  const uint8_t* codes = work.codes + block * layout().block_bytes();
  const int64_t args[] = {address(codes), address(work.block), block_rows * kFloatBytes, 1};
  routines_.run(Routine::kScanToColumns, args);
  for (int64_t row = 0; row < y.rows; ++row) {
    for (int64_t m = 0; m < n_outputs_; ++m) y(row, m) = work.block[m * block_rows + row];
  }
}

}  // namespace mithral
