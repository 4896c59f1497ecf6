// Model and schedule -> programs. Every decision that depends on the model, the layout or the ISA is taken here and
// shows in the program; what executes programs decides nothing.
#pragma once

#include <array>
#include <cstdint>
#include <iterator>
#include <vector>

#include "codegen/encode/trees/tree_structure.h"
#include "codegen/model/activation.h"
#include "codegen/model/input_view.h"
#include "codegen/plan/schedule.h"
#include "codegen/program/program.h"
#include "codegen/scan/epilogue.h"

namespace mithral::codegen {

// The routines of a kernel. Arguments are 64-bit; strides are in bytes.
enum class Routine {
  // Float32 in and out: made with the kernel, in the order in which a call uses them.
  kStageRows,      // (x, row_stride, staged, n_groups): W-row groups of row-major input -> staged columns (layout.h)
  kEncode,         // (columns, offsets, n_blocks, codes): column u starts at columns + offsets[u] -> codes (layout.h)
  kScanToRows,     // (codes, y, row_stride, n_blocks, tile): codes -> row-major outputs; tile is scratch
  kScanToColumns,  // (codes, y, col_stride, n_blocks): codes -> column-major outputs
  // Made when a call first needs them.
  kSumsToRows,     // as kScanToRows, but the sums of table entries themselves: int32
  kSumsToColumns,  // as kScanToColumns
  kArgmax,  // (codes, best, index, n_blocks, tile): codes -> of each row the first output with the largest value,
            // as an int32 in index; best, its value, and tile are scratch
  kRangeToColumns,  // (codes, y, col_stride, n_blocks, first, count): as kScanToColumns, `count` outputs from `first`
                    // on
  kAccumulate,      // (codes, y, row_stride, n_rows, tile, n_full, n_rest): up to W rows of codes, which lie in their
                    //  lanes' same byte -> n_full tiles of row-major outputs from tile `tile` on, then, if n_rest is 1,
                    //  those that fill no tile
  kAccumulateSums,  // as kAccumulate: int32
  kEncodeInt8,      // as kEncode, from columns of another input type: the types in the order of InputType
  kEncodeUint8,
  kEncodeInt16,
  kEncodeFloat16,
  kEncodeBfloat16,
  // As kScanToColumns, past the caches: columns begin where cache lines do.
  kStreamToColumns,
  // (codes, y, buffer, n_rows, tile, n_full, n_rest, n_first, lines): as kAccumulate, contiguous rows, past the caches.
  // Rows of a single tile: `lines` is the line that y is in, then the one behind the last output. Longer rows have two
  // each: that of the row's next tile and, where n_first is 1 and says that tile 0 comes first, the row's first line,
  // which is not written. `buffer` is scratch.
  kStreamToRows,
};
inline constexpr int kRoutineCount = static_cast<int>(Routine::kStreamToRows) + 1;
inline constexpr int kFirstRoutines = static_cast<int>(Routine::kScanToColumns) + 1;  // those made with the kernel
inline constexpr int kMaxRoutineArgs = 9;

constexpr Routine encode_routine(InputType type) {
  if (type == InputType::kFloat32) return Routine::kEncode;
  const int after_int8 = static_cast<int>(type) - static_cast<int>(InputType::kInt8);
  return static_cast<Routine>(static_cast<int>(Routine::kEncodeInt8) + after_int8);
}
static_assert(encode_routine(kInputTypes[std::size(kInputTypes) - 1]) == Routine::kEncodeBfloat16,
              "there is an encoder for every input type, in their order");

struct LoweredModel {
  Target target;
  Schedule schedule;
  Activation activation;  // of all float32 outputs, those that are only compared among them
  TreeStructure trees;
  std::array<Program, kFirstRoutines> programs;

  // The input columns that are read, ascending.
  const std::vector<int32_t>& columns() const { return trees.columns; }
  const Program& program(Routine routine) const { return programs.at(static_cast<size_t>(routine)); }
};

LoweredModel lower(const Model& model, const Schedule& schedule, const Target& target,
                   Activation activation = Activation::kNone);

// Any routine of a model that was lowered; the first ones again, too.
Program lower_routine(Routine routine, const Model& model, const LoweredModel& lowered);

// All of them, in the order of the enum.
std::vector<Program> lower_routines(const Model& model, const LoweredModel& lowered);

Program lower_stage_rows(const TreeStructure& trees, const Schedule& schedule, const Target& target);
Program lower_encode(const TreeStructure& trees, const CodeLayout& layout, const Target& target, InputType type);
Program lower_scan_to_rows(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue);
Program lower_scan_to_columns(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue);
Program lower_stream_to_columns(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue);
Program lower_range_to_columns(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue);
Program lower_argmax(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue);
Program lower_accumulate(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue);
Program lower_stream_to_rows(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue);

}  // namespace mithral::codegen
