// Model and schedule -> programs. Every decision that depends on the model, the layout or the ISA is taken here and
// shows in the program; what executes programs decides nothing.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "codegen/program.h"
#include "codegen/schedule.h"
#include "codegen/tree_structure.h"

namespace mithral::codegen {

// The routines of a kernel, in the order in which a call uses them. Arguments are 64-bit; strides are in bytes.
enum class Routine {
  kStageRows,      // (x, row_stride, staged, n_groups): W-row groups of row-major input -> staged columns (layout.h)
  kEncode,         // (columns, offsets, n_blocks, codes): column u starts at columns + offsets[u] -> codes (layout.h)
  kScanToRows,     // (codes, y, row_stride, n_blocks, tile): codes -> row-major outputs; tile is scratch
  kScanToColumns,  // (codes, y, col_stride, n_blocks): codes -> column-major outputs
};
inline constexpr int kRoutineCount = 4;
inline constexpr int kMaxRoutineArgs = 5;

struct LoweredModel {
  Target target;
  Schedule schedule;
  std::vector<int32_t> columns;  // the input columns that are read, ascending
  std::array<Program, kRoutineCount> programs;

  const Program& program(Routine routine) const { return programs[static_cast<size_t>(routine)]; }
};

LoweredModel lower(const Model& model, const Schedule& schedule, const Target& target);

Program lower_stage_rows(const TreeStructure& trees, const Schedule& schedule, const Target& target);
Program lower_encode(const TreeStructure& trees, const CodeLayout& layout, const Target& target);
Program lower_scan_to_rows(const Model& model, const Schedule& schedule, const Target& target);
Program lower_scan_to_columns(const Model& model, const Schedule& schedule, const Target& target);

}  // namespace mithral::codegen
