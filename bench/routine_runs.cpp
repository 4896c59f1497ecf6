#include "bench/routine_runs.h"

#include <algorithm>

#include "runtime/host.h"

namespace mithral::bench {
namespace {

using codegen::RoutineKind;

constexpr int64_t kFloatBytes = sizeof(float);

}  // namespace

RoutineRuns::RoutineRuns(const Model& model, Isa isa, int64_t n_rows, const float* x, float* y)
    : executable_(model, Activation::kNone, Backend::kJit, host_target(isa),
                  codegen::choose_schedule(model, host_target(isa))),
      x_(x),
      y_(y),
      n_x_rows_(n_rows),
      n_blocks_(n_rows / layout().block_rows()),
      codes_(code_bytes()),
      staged_(static_cast<int64_t>(columns().size()) * schedule().stage.rows * kFloatBytes),
      tile_(int64_t{schedule().scan.tile_outputs} * schedule().scan.table_blocks * layout().block_rows() *
            kFloatBytes) {
  for (size_t u = 0; u < columns().size(); ++u) {
    offsets_.push_back(columns()[u] * n_rows * kFloatBytes);
    staged_offsets_.push_back(static_cast<int64_t>(u) * schedule().stage.rows * kFloatBytes);
  }
}

// body(first row, blocks, their codes)
template <typename Body>
void RoutineRuns::for_each_chunk(Body&& body) const {
  const int64_t chunk_blocks = schedule().call.chunk_blocks;
  for (int64_t block = 0; block < n_blocks_; block += chunk_blocks) {
    body(block * layout().block_rows(), std::min(chunk_blocks, n_blocks_ - block),
         codes_.as<uint8_t>() + block * layout().block_bytes());
  }
}

// Stages some rows after others: body(first of them, how many)
template <typename Body>
void RoutineRuns::for_each_staged(Body&& body) const {
  const int64_t step = schedule().stage.rows, stride = executable_.model.n_features();
  for (int64_t row = 0; row < n_rows(); row += step) {
    const int64_t count = std::min(step, n_rows() - row);
    executable_.runner->run({RoutineKind::kStageRows}, codegen::StageArguments{.x = x_ + row * stride,
                                                                               .row_stride = stride * kFloatBytes,
                                                                               .staged = staged_.as<float>(),
                                                                               .n_vectors = count / layout().lanes});
    body(row, count);
  }
}

void RoutineRuns::stage() const {
  for_each_staged([](int64_t, int64_t) {});
}

void RoutineRuns::encode_columns(InputType type) const {
  std::vector<int64_t> offsets = offsets_;
  for (int64_t& offset : offsets) offset = offset / kFloatBytes * element_bytes(type);
  for_each_chunk([&](int64_t row, int64_t blocks, uint8_t* codes) {
    const char* columns = reinterpret_cast<const char*>(x_) + row * element_bytes(type);
    executable_.runner->run(
        {RoutineKind::kEncode, type},
        codegen::EncodeArguments{.columns = columns, .offsets = offsets.data(), .n_blocks = blocks, .codes = codes});
  });
}

void RoutineRuns::encode(Order order) const {
  if (order == Order::kColumns) return encode_columns(InputType::kFloat32);
  for_each_staged([&](int64_t row, int64_t count) {
    uint8_t* codes = codes_.as<uint8_t>() + row / layout().block_rows() * layout().block_bytes();
    executable_.runner->run({RoutineKind::kEncode}, codegen::EncodeArguments{.columns = staged_.as<float>(),
                                                                             .offsets = staged_offsets_.data(),
                                                                             .n_blocks = count / layout().block_rows(),
                                                                             .codes = codes});
  });
}

void RoutineRuns::quantise(Order order) const {
  std::vector<int64_t> vectors;
  for (int v = 0; v < schedule().stage.row_vectors; ++v) vectors.push_back(v * layout().lanes * kFloatBytes);
  constexpr int64_t kQuad = 4;
  for_each_chunk([&](int64_t row, int64_t blocks, uint8_t* codes) {
    if (order == Order::kColumns) {
      executable_.runner->run({RoutineKind::kQuantise}, codegen::QuantiseArguments{.columns = x_ + row,
                                                                                   .offsets = offsets_.data(),
                                                                                   .steps = executable_.tables.steps(),
                                                                                   .n_fours = layout().n_fours(),
                                                                                   .n_blocks = blocks,
                                                                                   .codes = codes});
    } else {
      const int64_t stride = executable_.model.n_features();
      executable_.runner->run({RoutineKind::kQuantiseRows},
                              codegen::QuantiseRowsArguments{.x = x_ + row * stride,
                                                             .row_stride = stride * kFloatBytes,
                                                             .offsets = vectors.data(),
                                                             .steps = executable_.tables.steps(),
                                                             .n_vectors = schedule().stage.row_vectors,
                                                             .n_blocks = blocks,
                                                             .n_quads = layout().block_rows() / kQuad,
                                                             .codes = codes});
    }
  });
}

// In the order of runtime/execute_scan.cpp: some rows at a time, tile by tile.
void RoutineRuns::accumulate() const {
  const int64_t n_outputs = executable_.model.n_outputs(), at_once = schedule().accumulate.rows;
  const int64_t tile_outputs = schedule().accumulate.tile_outputs, full = n_outputs / tile_outputs;
  for (int64_t first = 0; first < n_rows(); first += at_once) {
    for (int64_t tile = 0; tile * tile_outputs < n_outputs; ++tile) {
      for (int64_t row = first; row < std::min(first + at_once, n_rows()); row += layout().lanes) {
        executable_.runner->run(
            {RoutineKind::kAccumulateRows},
            codegen::AccumulateArguments{.codes = codes_.as<uint8_t>() + layout().offset(row, 0),
                                         .linear = codes_.as<uint8_t>() + layout().linear_offset(row),
                                         .tables = executable_.tables.rows(tile),
                                         .scales = executable_.tables.scale_tiles(tile),
                                         .y = y_ + row * n_outputs + tile * tile_outputs,
                                         .row_stride = n_outputs * kFloatBytes,
                                         .n_rows = layout().lanes,
                                         .n_full = tile < full,
                                         .n_rest = tile == full});
      }
    }
  }
}

void RoutineRuns::scan(Order order) const {
  for_each_chunk([&](int64_t row, int64_t blocks, uint8_t* codes) {
    const bool rows = order == Order::kRows;
    const int64_t n_outputs = executable_.model.n_outputs(), stride = rows ? n_outputs : n_x_rows_;
    executable_.runner->run({rows ? RoutineKind::kScanToRows : RoutineKind::kScanToColumns},
                            codegen::ScanArguments{.codes = codes,
                                                   .tables = executable_.tables.lookup(),
                                                   .scales = executable_.tables.scale_pairs(),
                                                   .y = y_ + (rows ? row * stride : row),
                                                   .stride = stride * kFloatBytes,
                                                   .n_blocks = blocks,
                                                   .tile = tile_.as<float>(),
                                                   .n_outputs = n_outputs});
  });
}

}  // namespace mithral::bench
