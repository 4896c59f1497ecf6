// Arguments for every routine of a small model, and the memory that they name.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "codegen/lower.h"
#include "codegen/model/error.h"
#include "codegen/model/multiples.h"

namespace mithral::testing {

class RoutineCalls {
 public:
  explicit RoutineCalls(const codegen::LoweredModel& lowered)
      : n_outputs_(lowered.scan.shape.n_outputs),
        tile_outputs_(lowered.schedule.accumulate.tile_outputs),
        offsets_(std::max<size_t>(lowered.encoder->columns().size(), round_up(lowered.scan.shape.n_linear, 4))),
        tables_(64 + std::max(lowered.scan.lookup_tables.bytes(), lowered.scan.row_tables.bytes())),
        scales_(4 * round_up(n_outputs_, tile_outputs_)) {}
  RoutineCalls(const RoutineCalls&) = delete;
  RoutineCalls& operator=(const RoutineCalls&) = delete;

  // Calls `run(const int64_t* arguments)` once, with a few rows or blocks. n_blocks: 0 to 2.
  template <typename Run>
  void call(const codegen::RoutineId& id, int64_t n_blocks, Run&& run) {
    using codegen::RoutineKind;
    uint8_t* codes = codes_.data();
    const uint8_t* tables = aligned(tables_.data());
    const float* scales = aligned(scales_.data());
    float *x = aligned(x_.data()), *y = aligned(y_.data()) + 16, *tile = aligned(tile_.data());
    const int64_t stride = 4 * n_outputs_, rest = n_outputs_ % tile_outputs_ != 0;
    const auto with = [&](const auto& arguments) {
      ensure(codegen::takes<std::decay_t<decltype(arguments)>>(id.kind), "arguments of another routine");
      run(reinterpret_cast<const int64_t*>(&arguments));
    };
    switch (id.kind) {
      case RoutineKind::kStageRows: return with(codegen::StageArguments{x, 4096, y, n_blocks});
      case RoutineKind::kEncode: return with(codegen::EncodeArguments{x, offsets_.data(), n_blocks, codes});
      case RoutineKind::kQuantise:
        return with(codegen::QuantiseArguments{x, offsets_.data(), tile, 1, n_blocks, codes});
      case RoutineKind::kQuantiseRows:
        return with(codegen::QuantiseRowsArguments{x, 64, offsets_.data(), tile, 1, n_blocks, 2, codes});
      case RoutineKind::kScanToRows:
      case RoutineKind::kSumsToRows:
        return with(codegen::ScanArguments{codes, tables, scales, y, stride, n_blocks, tile, n_outputs_});
      case RoutineKind::kScanToColumns:
      case RoutineKind::kStreamToColumns:
      case RoutineKind::kSumsToColumns:
        return with(codegen::ScanArguments{codes, tables, scales, y, 4096, n_blocks, tile, n_outputs_});
      case RoutineKind::kRangeToColumns:
        return with(codegen::ScanArguments{codes, tables, scales, y, 4096, n_blocks, tile, 1});
      case RoutineKind::kArgmax:
        return with(codegen::ArgmaxArguments{codes, tables, scales, numbers_.data(), y, reinterpret_cast<int32_t*>(x),
                                             n_blocks, tile});
      case RoutineKind::kAccumulateRows:
      case RoutineKind::kAccumulateSums:
        return with(codegen::AccumulateArguments{codes, codes, tables, scales, y, stride, n_blocks, 0, rest});
      case RoutineKind::kStreamToRows:
        return with(
            codegen::StreamRowsArguments{codes, codes, tables, scales, y, tile, tile + 1024, n_blocks, 0, 0, rest});
    }
    throw InternalError("unknown routine");
  }

 private:
  static constexpr size_t kSize = 1 << 16;

  template <typename T>
  static T* aligned(T* memory) {
    return reinterpret_cast<T*>(round_up(reinterpret_cast<uintptr_t>(memory), 64));
  }

  int64_t n_outputs_, tile_outputs_;
  std::vector<int64_t> offsets_;
  std::vector<uint8_t> tables_;
  std::vector<float> scales_;
  std::vector<float> x_ = std::vector<float>(kSize), y_ = std::vector<float>(kSize), tile_ = std::vector<float>(kSize);
  std::vector<uint8_t> codes_ = std::vector<uint8_t>(kSize);
  std::vector<int32_t> numbers_ = std::vector<int32_t>(kSize);
};

}  // namespace mithral::testing
