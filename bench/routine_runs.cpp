#include "bench/routine_runs.h"

#include <algorithm>

#include "runtime/host.h"

namespace mithral::bench {
namespace {

using codegen::Routine;

constexpr int64_t kFloatBytes = sizeof(float);

int64_t address(const void* p) { return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p)); }

codegen::LoweredModel lower_for_host(const Model& model, Isa isa) {
  const Target target = host_target(isa);
  return codegen::lower(model, codegen::choose_schedule(model, target), target);
}

}  // namespace

RoutineRuns::RoutineRuns(const Model& model, Isa isa, int64_t n_rows, const float* x, float* y)
    : model_(model),
      lowered_(lower_for_host(model, isa)),
      routines_(make_routines(Backend::kJit, model_, lowered_)),
      x_(x),
      y_(y),
      n_x_rows_(n_rows),
      n_blocks_(n_rows / layout().block_rows()),
      codes_(code_bytes()),
      staged_(static_cast<int64_t>(lowered_.columns().size()) * lowered_.schedule.staged_rows * kFloatBytes),
      tile_(int64_t{lowered_.schedule.tile_outputs} * lowered_.schedule.tall_tile * layout().block_rows() *
            kFloatBytes) {
  for (size_t u = 0; u < lowered_.columns().size(); ++u) {
    offsets_.push_back(lowered_.columns()[u] * n_rows * kFloatBytes);
    staged_offsets_.push_back(static_cast<int64_t>(u) * lowered_.schedule.staged_rows * kFloatBytes);
  }
}

// body(first row, blocks, their codes)
template <typename Body>
void RoutineRuns::for_each_chunk(Body&& body) const {
  const int64_t chunk_blocks = lowered_.schedule.chunk_blocks;
  for (int64_t block = 0; block < n_blocks_; block += chunk_blocks) {
    body(block * layout().block_rows(), std::min(chunk_blocks, n_blocks_ - block),
         codes_.as<uint8_t>() + block * layout().block_bytes());
  }
}

// Stages some rows after others: body(first of them, how many)
template <typename Body>
void RoutineRuns::for_each_staged(Body&& body) const {
  const int64_t step = lowered_.schedule.staged_rows, stride = model_.n_features();
  for (int64_t row = 0; row < n_rows(); row += step) {
    const int64_t count = std::min(step, n_rows() - row);
    const int64_t args[] = {address(x_ + row * stride), stride * kFloatBytes, address(staged_.as<float>()),
                            count / layout().lanes};
    routines_->run(Routine::kStageRows, args);
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
    const int64_t args[] = {address(x_) + row * element_bytes(type), address(offsets.data()), blocks, address(codes)};
    routines_->run(codegen::encode_routine(type), args);
  });
}

void RoutineRuns::encode(Order order) const {
  if (order == Order::kColumns) return encode_columns(InputType::kFloat32);
  for_each_staged([&](int64_t row, int64_t count) {
    uint8_t* codes = codes_.as<uint8_t>() + row / layout().block_rows() * layout().block_bytes();
    const int64_t args[] = {address(staged_.as<float>()), address(staged_offsets_.data()),
                            count / layout().block_rows(), address(codes)};
    routines_->run(Routine::kEncode, args);
  });
}

void RoutineRuns::scan(Order order) const {
  for_each_chunk([&](int64_t row, int64_t blocks, uint8_t* codes) {
    const bool rows = order == Order::kRows;
    const int64_t stride = rows ? model_.n_outputs() : n_x_rows_;
    const int64_t args[] = {address(codes), address(y_ + (rows ? row * stride : row)), stride * kFloatBytes, blocks,
                            address(tile_.as<float>())};
    routines_->run(rows ? Routine::kScanToRows : Routine::kScanToColumns, args);
  });
}

}  // namespace mithral::bench
