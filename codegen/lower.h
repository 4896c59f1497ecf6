// Model and schedule -> programs. Every decision that depends on the model, the layout or the ISA is taken here and in
// the wings below (encode/, scan/), and shows in the program; what executes programs decides nothing.
#pragma once

#include <memory>
#include <vector>

#include "codegen/encode/encoder_lowering.h"
#include "codegen/model/activation.h"
#include "codegen/model/model.h"
#include "codegen/plan/schedule.h"
#include "codegen/program/program.h"
#include "codegen/program/routine.h"
#include "codegen/scan/scan_plan.h"

namespace mithral::codegen {

// All that programs are made from. No program is made yet, and no table is kept.
struct LoweredModel {
  Target target;
  Schedule schedule;
  Activation activation;  // of all float32 outputs, those that are only compared among them
  std::shared_ptr<const EncoderLowering> encoder;
  std::vector<int32_t> staged_columns;  // of row-major rows
  ScanPlan scan;
};

// Throws InternalError for a schedule that does not fit. `ranges` are those of the model's tables.
LoweredModel lower(const Model& model, const EntryRanges& ranges, const Schedule& schedule, const Target& target,
                   Activation activation = Activation::kNone);
LoweredModel lower(const Model& model, const Schedule& schedule, const Target& target,
                   Activation activation = Activation::kNone);

// The routines that the model has: all, but those that read rows where codes are given, and those of linear dims
// where there are none, or none that rows have side by side.
std::vector<RoutineId> routines_of(const LoweredModel& lowered);

Program lower_routine(const RoutineId& id, const LoweredModel& lowered);

// The programs of all routines_of the model.
std::vector<Program> lower_routines(const LoweredModel& lowered);

}  // namespace mithral::codegen
