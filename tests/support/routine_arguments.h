// Arguments with which every routine of a small model can be called, in the order of codegen::Routine.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "codegen/lower.h"

namespace mithral::testing {

class RoutineArguments {
 public:
  explicit RoutineArguments(const codegen::LoweredModel& lowered) : offsets_(lowered.columns().size()) {}

  // `n_blocks` blocks, or groups of rows.
  const int64_t* of(codegen::Routine routine, int64_t n_blocks) {
    using codegen::Routine;
    const int64_t x = address(x_), y = address(y_), codes = address(codes_), tile = address(tile_);
    switch (routine) {
      case Routine::kStageRows: arguments_ = {x, kStride, y, n_blocks}; break;
      case Routine::kEncode: arguments_ = {x, address(offsets_), n_blocks, codes}; break;
      case Routine::kScanToRows:
      case Routine::kSumsToRows: arguments_ = {codes, y, kStride, n_blocks, tile}; break;
      case Routine::kScanToColumns:
      case Routine::kSumsToColumns: arguments_ = {codes, y, 1024, n_blocks}; break;
      case Routine::kAccumulate:
      case Routine::kAccumulateSums: arguments_ = {codes, y, kStride, n_blocks, 0, 0, 1}; break;
    }
    return arguments_.data();
  }

 private:
  static constexpr int64_t kStride = 128;  // of rows, in bytes

  template <typename T>
  static int64_t address(const std::vector<T>& v) {
    return static_cast<int64_t>(reinterpret_cast<uintptr_t>(v.data()));
  }

  std::vector<float> x_ = std::vector<float>(1 << 16), y_ = x_, tile_ = x_;
  std::vector<uint8_t> codes_ = std::vector<uint8_t>(1 << 16);
  std::vector<int64_t> offsets_;
  std::array<int64_t, codegen::kMaxRoutineArgs> arguments_{};
};

}  // namespace mithral::testing
