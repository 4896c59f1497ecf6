#include "runtime/execute.h"

#include <xmmintrin.h>

#include <algorithm>

#include "codegen/encode/lower_stage.h"
#include "codegen/model/float_environment.h"
#include "codegen/model/multiples.h"
#include "codegen/program/sizes.h"
#include "runtime/workspace.h"

namespace mithral {
namespace {

constexpr int64_t kMostScores = 1 << 17;  // of few rows that are held in cache

using codegen::RoutineKind;

// Values of four bytes that are only moved.
MatrixView<float> as_floats(MatrixView<int32_t> y) {
  return {reinterpret_cast<float*>(y.data), y.rows, y.cols, y.row_stride, y.col_stride};
}

// The place among `columns`, which rise, of the column of each dim. Those that are missing of the last four are read as
// another one, and come to nothing.
std::vector<int32_t> columns_of_linear(const LinearDims& linear, const std::vector<int32_t>& columns) {
  std::vector<int32_t> places;
  if (linear.n_columns() == 0) return places;
  for (const int32_t dim : linear.dims()) {
    places.push_back(static_cast<int32_t>(std::lower_bound(columns.begin(), columns.end(), dim) - columns.begin()));
  }
  places.resize(round_up(linear.n_columns(), codegen::CodeLayout::kBytesOfLane), places.back());
  return places;
}

// Stores past the caches are ordered by nothing else: a fence before another thread may read what they wrote.
struct StreamFence {
  StreamFence() = default;
  StreamFence(const StreamFence&) = delete;
  StreamFence& operator=(const StreamFence&) = delete;
  ~StreamFence() { _mm_sfence(); }
};

}  // namespace

// The workspace of this thread; another one beside latents, whose own executor runs in the midst of a chunk.
Executor::Workspace& Executor::workspace() const {
  thread_local Workspace work, beside_latents;
  return latents_ == nullptr ? work : beside_latents;
}

Executor::Executor(const Runner& runner, const TableLayouts& tables, const Executor* latents)
    : runner_(runner),
      tables_(tables),
      latents_(latents),
      n_outputs_(tables.n_outputs()),
      n_lines_(codegen::count_lines(runner.columns())),
      linear_places_(columns_of_linear(tables.linear(), runner.columns())),
      all_(staged(runner.columns(), 0)),
      of_rows_(staged(runner.staged_columns(), schedule().stage.row_vectors * layout().lanes)) {}

template <typename Take>
void Executor::for_chunks(Workspace& work, const Rows& rows, Take&& take) const {
  const DefaultFloatEnvironment ieee;
  prepare(work, rows);
  for (int64_t row = 0; row < rows.count(); row += chunk_rows()) {
    const int64_t count = std::min(chunk_rows(), rows.count() - row);
    const InputView chunk = rows.view.row_range(row, count);
    rows.kind == Rows::Kind::kCodes ? pack_chunk(work, chunk.as<uint8_t>()) : encode_chunk(work, chunk);
    take(row, count);
  }
}

constexpr Executor::ScanKinds Executor::kOutputs = {RoutineKind::kScanToRows, RoutineKind::kScanToColumns,
                                                    RoutineKind::kAccumulateRows, true};

void Executor::outputs(const Rows& rows, MatrixView<float> y, int64_t call_rows) const {
  ScanKinds kinds = kOutputs;
  if (!is_streamed(rows, y, call_rows)) return scan(kinds, rows, y);
  const StreamFence fence;
  const int64_t head = std::min(rows_before_streaming(y), y.rows);
  scan(kinds, rows.range(0, head), y.row_range(0, head));
  if (accumulates_rows(y)) {
    kinds.accumulate = RoutineKind::kStreamToRows;
  } else {
    kinds.to_columns = RoutineKind::kStreamToColumns;
  }
  scan(kinds, rows.range(head, rows.count() - head), y.row_range(head, y.rows - head));
}

void Executor::sums(const Rows& rows, MatrixView<int32_t> y) const {
  scan({RoutineKind::kSumsToRows, RoutineKind::kSumsToColumns, RoutineKind::kAccumulateSums, false}, rows,
       as_floats(y));
}

void Executor::scan(const ScanKinds& kinds, const Rows& rows, MatrixView<float> y) const {
  Workspace& work = workspace();
  for_chunks(work, rows, [&](int64_t row, int64_t count) { scan_chunk(kinds, work, y.row_range(row, count)); });
}

// Rows that do not fill a block, from `first` of the chunk on: outputs go to scratch, then `take(row, outputs)` is
// called for each.
template <typename Take>
void Executor::for_few_rows(Workspace& work, int64_t first, int64_t rows, Take&& take) const {
  const int64_t at_once = std::clamp<int64_t>(kMostScores / n_outputs_, 1, rows);
  float* scores = work.block_scratch.at_least(at_once * n_outputs_);
  for (int64_t row = 0; row < rows; row += at_once) {
    const int64_t count = std::min(at_once, rows - row);
    accumulate(kOutputs, work, first + row, row_major(scores, count, n_outputs_));
    for (int64_t i = 0; i < count; ++i) take(row + i, scores + i * n_outputs_);
  }
}

// Rows that do not fill a block are compared as a whole one, as long as there is one: results go to scratch first.
void Executor::argmax(const Rows& rows, MatrixView<int64_t> indices) const {
  Workspace& work = workspace();
  const int64_t most = std::min(chunk_rows(), round_up(rows.count(), layout().block_rows()));
  float* best = work.best_scratch.at_least(most);
  int32_t* index = work.index_scratch.at_least(most);
  for_chunks(work, rows, [&](int64_t first, int64_t count) {
    if (count < layout().block_rows()) {
      return for_few_rows(work, 0, count, [&](int64_t row, const float* scores) {
        indices(first + row, 0) = first_largest(scores, n_outputs_);
      });
    }
    runner_.run({RoutineKind::kArgmax}, codegen::ArgmaxArguments{.codes = work.codes,
                                                                 .tables = tables_.lookup(),
                                                                 .scales = tables_.scale_pairs(),
                                                                 .numbers = tables_.numbers(),
                                                                 .best = best,
                                                                 .index = index,
                                                                 .n_blocks = divide_up(count, layout().block_rows()),
                                                                 .tile = work.tile});
    for (int64_t row = 0; row < count; ++row) indices(first + row, 0) = index[row];
  });
}

void Executor::top_k(const Rows& rows, MatrixView<float> values, MatrixView<int64_t> indices) const {
  Workspace& work = workspace();
  for_chunks(work, rows, [&](int64_t first, int64_t count) {
    for (int64_t row = 0; row < count; row += TopK::kMostRows) {
      const int64_t n = std::min(TopK::kMostRows, count - row);
      top_k_of_rows(work, row, values.row_range(first + row, n), indices.row_range(first + row, n));
    }
  });
}

// Rows from `first_row` of the chunk on. Some outputs of all rows, then the next ones: their tables stay in cache.
void Executor::top_k_of_rows(Workspace& work, int64_t first_row, MatrixView<float> values,
                             MatrixView<int64_t> indices) const {
  const int64_t block_rows = layout().block_rows(), tile_rows = schedule().scan.table_blocks * block_rows;
  const int64_t rows = round_up(values.rows, block_rows);
  work.top_k.begin(rows, values.cols);
  if (values.rows < block_rows) {
    for_few_rows(work, first_row, values.rows,
                 [&](int64_t row, const float* outputs) { work.top_k.take_row(outputs, row, n_outputs_); });
    return work.top_k.finish(values, indices);
  }
  float* scores =
      work.scores_scratch.at_least(std::min<int64_t>(n_outputs_, schedule().scan.selected_outputs) * tile_rows);
  for (int64_t output = 0; output < n_outputs_; output += schedule().scan.selected_outputs) {
    const int64_t outputs = std::min<int64_t>(schedule().scan.selected_outputs, n_outputs_ - output);
    for (int64_t row = 0; row < rows; row += tile_rows) {
      const int64_t count = std::min(tile_rows, rows - row);
      const uint8_t* codes = work.codes + (first_row + row) / block_rows * layout().block_bytes();
      runner_.run({RoutineKind::kRangeToColumns}, codegen::ScanArguments{.codes = codes,
                                                                         .tables = tables_.lookup(output),
                                                                         .scales = tables_.scale_pairs(output),
                                                                         .y = scores,
                                                                         .stride = tile_rows * kFloatBytes,
                                                                         .n_blocks = count / block_rows,
                                                                         .tile = nullptr,
                                                                         .n_outputs = outputs});
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

void Executor::prepare_latents(Workspace& work) const {
  const int64_t n_latents = tables_.linear().n_latents();
  work.latents = work.latents_scratch.at_least(n_latents * chunk_rows());
  work.latent_offsets.clear();
  for (int64_t j = 0; j < n_latents; ++j) work.latent_offsets.push_back(j * chunk_rows() * kFloatBytes);
  work.latent_offsets.resize(round_up(n_latents, codegen::CodeLayout::kBytesOfLane), work.latent_offsets.back());
}

void Executor::prepare(Workspace& work, const Rows& rows) const {
  const auto n_columns = static_cast<int64_t>(runner_.columns().size());
  const int64_t tile_rows = int64_t{schedule().scan.table_blocks} * layout().block_rows();
  const int64_t tile_outputs = std::max(schedule().scan.tile_outputs, schedule().scan.compared_outputs);
  work.codes = work.codes_scratch.at_least(schedule().call.chunk_blocks * layout().block_bytes());
  work.tile = work.tile_scratch.at_least(tile_outputs * tile_rows);
  if (latents_ != nullptr) prepare_latents(work);
  if (rows.kind == Rows::Kind::kCodes) return;
  work.staged = work.staged_scratch.at_least(n_columns * schedule().stage.rows);
  if (rows.view.col_stride == 1) {
    work.vector_offsets.clear();
    for (int64_t vector = 0; vector < schedule().stage.row_vectors; ++vector) {
      work.vector_offsets.push_back(tables_.linear().dims()[vector * layout().lanes] * element_bytes(rows.view.type));
    }
  }
  if (rows.view.row_stride != 1) return;
  work.column_offsets.clear();
  for (const int32_t column : runner_.columns()) {
    work.column_offsets.push_back(column * rows.view.col_stride * element_bytes(rows.view.type));
  }
  work.linear_offsets.clear();
  for (const int32_t place : linear_places_) work.linear_offsets.push_back(work.column_offsets[place]);
}

}  // namespace mithral
