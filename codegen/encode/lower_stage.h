// Row-major rows -> staged columns (code_layout.h): routine kStageRows.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/encode/stage_schedule.h"
#include "codegen/program/program.h"

namespace mithral::codegen {

// Stages the columns of float32 rows, W rows at a time, each column once. `columns` rise; there is one at least.
Program lower_stage_rows(const std::vector<int32_t>& columns, const StageSchedule& schedule, const Target& target);

// Cache lines of a row-major row of float32, which begins with one, that hold any of these columns, which rise.
int64_t count_lines(const std::vector<int32_t>& columns);

}  // namespace mithral::codegen
