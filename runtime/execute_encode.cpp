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

Executor::Staged Executor::staged(const std::vector<int32_t>& columns, int64_t first_dim) const {
  Staged result{.columns = columns, .first_dim = first_dim, .offsets = {}, .linear_offsets = {}};
  for (const int32_t column : runner_.columns()) {
    const auto place = std::lower_bound(columns.begin(), columns.end(), column) - columns.begin();
    result.offsets.push_back(place * schedule().stage.rows * kFloatBytes);
  }
  for (const int32_t place : std::span(linear_places_).subspan(first_dim)) {
    result.linear_offsets.push_back(result.offsets[place]);
  }
  return result;
}

// A row that is row-major as well as column-major is encoded as the former.
void Executor::encode_chunk(Workspace& work, InputView x) const {
  const bool reads_type = runner_.encodes(x.type);
  if (reads_type && x.row_stride == 1 && (x.col_stride != 1 || x.rows >= layout().block_rows())) {
    encode_columns(work, x);
  } else if (reads_type && x.col_stride == 1) {
    encode_rows(work, x);
  } else {
    encode_staged(work, x, 0, all_);
  }
  if (latents_ != nullptr) quantise_latents(work, x);
}

// Column-major rows are encoded in place; those that do not fill a block are staged, so nothing past them is read.
void Executor::encode_columns(Workspace& work, InputView x) const {
  const int64_t blocks = x.rows / layout().block_rows();
  const int64_t full_rows = blocks * layout().block_rows();
  if (blocks > 0) call_encode(x.type, x.data, {work.column_offsets, work.linear_offsets, 0}, blocks, work.codes);
  if (full_rows < x.rows) encode_staged(work, x.row_range(full_rows, x.rows - full_rows), blocks, all_);
}

// Row-major rows are quantised in place as far as linear dims are side by side, and staged for the others and for the
// codes.
void Executor::encode_rows(Workspace& work, InputView x) const {
  if (schedule().stage.row_vectors > 0) quantise_rows(work, x);
  const bool stages_dims = of_rows_.first_dim < tables_.linear().n_columns();
  if (layout().n_codebooks > 0 || stages_dims) encode_staged(work, x, 0, of_rows_);
}

// Four rows at a time. The last four of a block that is not full begin among those before; fewer than four are each
// taken four times, and the next one replaces what is too much.
void Executor::quantise_rows(Workspace& work, InputView x) const {
  constexpr int64_t kQuad = 4;
  const int64_t block_rows = layout().block_rows(), whole = round_down(x.rows, block_rows), rest = x.rows - whole;
  const auto quantise = [&](int64_t first_row, int64_t row_stride, int64_t n_blocks, int64_t n_quads) {
    runner_.run({codegen::RoutineKind::kQuantiseRows, x.type},
                codegen::QuantiseRowsArguments{.x = x.row_range(first_row, 1).data,
                                               .row_stride = row_stride * element_bytes(x.type),
                                               .offsets = work.vector_offsets.data(),
                                               .steps = tables_.steps(),
                                               .n_vectors = schedule().stage.row_vectors,
                                               .n_blocks = n_blocks,
                                               .n_quads = n_quads,
                                               .codes = work.codes + layout().linear_offset(first_row)});
  };
  if (whole > 0) quantise(0, x.row_stride, whole / block_rows, block_rows / kQuad);
  if (rest >= kQuad) {
    quantise(whole, x.row_stride, 1, rest / kQuad);
    if (rest % kQuad > 0) quantise(x.rows - kQuad, x.row_stride, 1, 1);
  } else {
    for (int64_t row = whole; row < x.rows; ++row) quantise(row, 0, 1, 1);
  }
}

// The latents of a chunk stay in cache on their way. Rows that do not fill the last block have some, too: any will do.
void Executor::quantise_latents(Workspace& work, InputView x) const {
  latents_->outputs(x, {work.latents, x.rows, tables_.linear().n_latents(), 1, chunk_rows()}, x.rows);
  runner_.run({codegen::RoutineKind::kQuantise, InputType::kFloat32},
              codegen::QuantiseArguments{
                  .columns = work.latents,
                  .offsets = work.latent_offsets.data(),
                  .steps = tables_.steps() + tables_.linear().n_columns(),
                  .n_fours = layout().n_fours() - n_column_fours(),
                  .n_blocks = divide_up(x.rows, layout().block_rows()),
                  .codes = work.codes + layout().linear_offset(0) + n_column_fours() * layout().bytes_of_four()});
}

void Executor::encode_staged(Workspace& work, InputView x, int64_t first_block, const Staged& staged) const {
  const int64_t staged_rows = schedule().stage.rows;
  const int64_t block_rows = layout().block_rows();
  for (int64_t row = 0; row < x.rows; row += staged_rows) {
    const int64_t count = std::min(staged_rows, x.rows - row);
    stage(work, x.row_range(row, count), staged);
    uint8_t* codes = work.codes + (first_block + row / block_rows) * layout().block_bytes();
    call_encode(staged_type(x), work.staged, {staged.offsets, staged.linear_offsets, staged.first_dim},
                divide_up(count, block_rows), codes);
  }
}

// Used columns of up to staged_rows rows are copied. Row-major float32 goes through the kernel's routine by the
// vector; single rows, rows of other strides, and other types, one element at a time.
void Executor::stage(Workspace& work, InputView x, const Staged& staged) const {
  const bool by_routine = x.type == InputType::kFloat32 && x.col_stride == 1 && &staged == &of_rows_;
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
      stage_elements(reinterpret_cast<From*>(work.staged), rows, done, staged);
    } else {
      stage_elements(work.staged, rows, done, staged);
    }
  });
}

// A few rows at a time, so that their cache lines are still there for the next column.
template <typename To, typename From>
void Executor::stage_elements(To* to_staged, MatrixView<const From> x, int64_t first_row, const Staged& staged) const {
  constexpr int64_t kRowsAtOnce = 16;
  const int64_t stride = x.row_stride;
  const int64_t column_elements = schedule().stage.rows * kFloatBytes / static_cast<int64_t>(sizeof(To));
  if (staged.columns.empty()) return;
  for (int64_t begin = first_row; begin < x.rows; begin += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, x.rows - begin);
    To* to = to_staged + begin;
    for (const int32_t column : staged.columns) {
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
  const int64_t first_four = offsets.first_dim / codegen::CodeLayout::kBytesOfLane;
  if (n_column_fours() > first_four) {
    runner_.run(
        {codegen::RoutineKind::kQuantise, type},
        codegen::QuantiseArguments{.columns = columns,
                                   .offsets = offsets.linear.data(),
                                   .steps = tables_.steps() + offsets.first_dim,
                                   .n_fours = n_column_fours() - first_four,
                                   .n_blocks = n_blocks,
                                   .codes = codes + layout().linear_offset(0) + first_four * layout().bytes_of_four()});
  }
}

}  // namespace mithral
