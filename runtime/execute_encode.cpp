// Executor: rows -> codes of a chunk.
#include <algorithm>
#include <span>

#include "codegen/model/multiples.h"
#include "codegen/program/sizes.h"
#include "runtime/execute.h"
#include "runtime/workspace.h"

namespace mithral {
namespace {

template <typename To, typename From>
To converted(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else {
    return to_float(value);
  }
}

}  // namespace

void Executor::encode_chunk(Workspace& work, InputView x) const {
  if (x.row_stride == 1 && runner_.encodes(x.type)) {
    encode_columns(work, x);
  } else {
    encode_staged(work, x, 0);
  }
}

// Column-major rows are encoded in place; those that do not fill a block are staged, so nothing past them is read.
void Executor::encode_columns(Workspace& work, InputView x) const {
  const int64_t blocks = x.rows / layout().block_rows();
  const int64_t full_rows = blocks * layout().block_rows();
  if (blocks > 0) call_encode(x.type, x.data, {work.column_offsets, work.linear_offsets}, blocks, work.codes);
  if (full_rows < x.rows) encode_staged(work, x.row_range(full_rows, x.rows - full_rows), blocks);
}

void Executor::encode_staged(Workspace& work, InputView x, int64_t first_block) const {
  const int64_t staged_rows = schedule().stage.rows;
  const int64_t block_rows = layout().block_rows();
  for (int64_t row = 0; row < x.rows; row += staged_rows) {
    const int64_t count = std::min(staged_rows, x.rows - row);
    stage(work, x.row_range(row, count));
    uint8_t* codes = work.codes + (first_block + row / block_rows) * layout().block_bytes();
    call_encode(staged_type(x), work.staged, {staged_offsets_, staged_linear_offsets_}, divide_up(count, block_rows),
                codes);
  }
}

// Copies the used columns of up to staged_rows rows. Row-major float32 goes through the kernel's routine by the
// vector; single rows, rows of other strides, and other types, one element at a time.
void Executor::stage(Workspace& work, InputView x) const {
  const bool by_routine = x.type == InputType::kFloat32 && x.col_stride == 1;
  const int64_t vectors = by_routine ? x.rows / layout().lanes : 0;
  if (vectors > 0) {
    runner_.run(
        {codegen::RoutineKind::kStageRows},
        codegen::StageArguments{
            .x = x.data, .row_stride = x.row_stride * kFloatBytes, .staged = work.staged, .n_vectors = vectors});
  }
  const int64_t done = vectors * layout().lanes;
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
  const int64_t column_elements = schedule().stage.rows * kFloatBytes / static_cast<int64_t>(sizeof(To));
  const std::span<const int32_t> columns = runner_.columns();
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

void Executor::call_encode(InputType type, const void* columns, const ColumnOffsets& offsets, int64_t n_blocks,
                           uint8_t* codes) const {
  if (layout().n_codebooks > 0) {
    runner_.run({codegen::RoutineKind::kEncode, type},
                codegen::EncodeArguments{
                    .columns = columns, .offsets = offsets.columns.data(), .n_blocks = n_blocks, .codes = codes});
  }
  if (layout().n_linear > 0) {
    runner_.run({codegen::RoutineKind::kQuantise, type}, codegen::QuantiseArguments{.columns = columns,
                                                                                    .offsets = offsets.linear.data(),
                                                                                    .steps = tables_.step_pairs(),
                                                                                    .n_blocks = n_blocks,
                                                                                    .codes = codes});
  }
}

void Executor::offsets_of_linear(const std::vector<int64_t>& columns, std::vector<int64_t>& linear) const {
  linear.clear();
  for (const int32_t column : linear_columns_) linear.push_back(columns[column]);
}

}  // namespace mithral
