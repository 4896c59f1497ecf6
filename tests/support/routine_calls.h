// Arguments for every routine of a small model, and the memory that they name.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "codegen/lower.h"
#include "codegen/model/error.h"
#include "codegen/model/multiples.h"

namespace mithral::testing {

class RoutineCalls {
 public:
  using Args = std::array<int64_t, codegen::kMaxRoutineArgs>;

  RoutineCalls(const Model& model, const codegen::LoweredModel& lowered)
      : x_stride_(4 * model.n_features()), y_stride_(4 * model.n_outputs()), offsets_(lowered.columns().size()) {}
  RoutineCalls(const RoutineCalls&) = delete;
  RoutineCalls& operator=(const RoutineCalls&) = delete;

  Args args(codegen::Routine routine, int64_t n_blocks) {
    using codegen::Routine;
    const int64_t x = address(x_), y = address(y_) + kLine, codes = address(codes_);
    const int64_t tile = round_up(address(tile_), kLine), lines = tile + kLine * 64;
    switch (routine) {
      case Routine::kStageRows: return {x, x_stride_, y, n_blocks};
      case Routine::kEncode:
      case Routine::kEncodeInt8:
      case Routine::kEncodeUint8:
      case Routine::kEncodeInt16:
      case Routine::kEncodeFloat16:
      case Routine::kEncodeBfloat16: return {x, address(offsets_), n_blocks, codes};
      case Routine::kScanToRows:
      case Routine::kSumsToRows: return {codes, y, y_stride_, n_blocks, tile};
      case Routine::kScanToColumns:
      case Routine::kSumsToColumns: return {codes, y, 4096, n_blocks};
      case Routine::kArgmax: return {codes, y, x, n_blocks, tile};
      case Routine::kAccumulate:
      case Routine::kAccumulateSums: return {codes, y, y_stride_, n_blocks, 0, 0, 1};
      case Routine::kStreamToColumns: return {codes, tile, 4096, n_blocks};
      case Routine::kStreamToRows: return {codes, y, tile, n_blocks, 0, 0, 1, 0, lines};
      case Routine::kRangeToColumns: return {codes, y, 4096, n_blocks, 2, 3};
    }
    throw InternalError("unknown routine");
  }

 private:
  static constexpr size_t kSize = 1 << 16;
  static constexpr int64_t kLine = 64;  // bytes

  template <typename T>
  static int64_t address(std::vector<T>& memory) {
    return static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory.data()));
  }

  int64_t x_stride_, y_stride_;
  std::vector<int64_t> offsets_;
  std::vector<float> x_ = std::vector<float>(kSize), y_ = std::vector<float>(kSize), tile_ = std::vector<float>(kSize);
  std::vector<uint8_t> codes_ = std::vector<uint8_t>(kSize);
};

}  // namespace mithral::testing
