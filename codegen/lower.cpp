#include "codegen/lower.h"

#include "codegen/encode/linear/lower_quantise.h"
#include "codegen/encode/lower_stage.h"
#include "codegen/model/error.h"
#include "codegen/model/float_environment.h"
#include "codegen/scan/lower_scan.h"

namespace mithral::codegen {
namespace {

ScanPlan plan_scan(const Model& model, const Schedule& schedule, const Target& target) {
  const TableShape shape = table_shape(model.tables(), model.linear());
  return {.shape = shape,
          .codes = schedule.codes,
          .groups = schedule.groups,
          .linear = plan_linear(model.linear()),
          .scan = schedule.scan,
          .accumulate = schedule.accumulate,
          .lookup_tables = LookupTables::of(shape, schedule.codes, schedule.groups, target),
          .row_tables = RowTables(shape, schedule.accumulate.tile_outputs, target.lanes()),
          .biased_products_are_exact = biased_products_are_exact(model.tables())};
}

}  // namespace

LoweredModel lower(const Model& model, const EntryRanges& ranges, const Schedule& schedule, const Target& target,
                   Activation activation) {
  check_schedule(schedule, model, ranges, target);
  const DefaultFloatEnvironment ieee;  // thresholds and scales are compared
  std::shared_ptr<const EncoderLowering> encoder = encoder_lowering(model);
  const int64_t first_staged = schedule.stage.row_vectors * target.lanes();
  std::vector<int32_t> staged = first_staged == 0 ? encoder->columns() : staged_columns(model, first_staged);
  return {.target = target,
          .schedule = schedule,
          .activation = activation,
          .encoder = std::move(encoder),
          .staged_columns = std::move(staged),
          .scan = plan_scan(model, schedule, target)};
}

LoweredModel lower(const Model& model, const Schedule& schedule, const Target& target, Activation activation) {
  return lower(model, entry_ranges(model.tables()), schedule, target, activation);
}

std::vector<RoutineId> routines_of(const LoweredModel& lowered) {
  std::vector<RoutineId> result = all_routines();
  std::erase_if(result, [&](const RoutineId& id) {
    const bool reads_rows = id.kind == RoutineKind::kStageRows || id.kind == RoutineKind::kEncode;
    if (id.kind == RoutineKind::kQuantise) return lowered.scan.linear.empty();
    if (id.kind == RoutineKind::kQuantiseRows) return lowered.schedule.stage.row_vectors == 0;
    return reads_rows && lowered.encoder->is_given();
  });
  return result;
}

Program lower_routine(const RoutineId& id, const LoweredModel& lowered) {
  const Schedule& schedule = lowered.schedule;
  const Target& target = lowered.target;
  const ScanPlan& scan = lowered.scan;
  const Epilogue floats = epilogue_of(lowered.activation);
  switch (id.kind) {
    case RoutineKind::kStageRows: return lower_stage_rows(lowered.staged_columns, schedule.stage, target);
    case RoutineKind::kEncode: return lowered.encoder->lower(schedule.codes, target, id.type);
    case RoutineKind::kQuantise: return lower_quantise(schedule.codes, target, id.type);
    case RoutineKind::kQuantiseRows:
      return lower_quantise_rows(schedule.codes, schedule.stage.prefetch_rows, target, id.type);
    case RoutineKind::kScanToRows: return lower_scan_to_rows(id.kind, scan, target, floats);
    case RoutineKind::kSumsToRows: return lower_scan_to_rows(id.kind, scan, target, Epilogue::kSum);
    case RoutineKind::kScanToColumns:
    case RoutineKind::kStreamToColumns:
    case RoutineKind::kRangeToColumns: return lower_scan_to_columns(id.kind, scan, target, floats);
    case RoutineKind::kSumsToColumns: return lower_scan_to_columns(id.kind, scan, target, Epilogue::kSum);
    case RoutineKind::kArgmax: return lower_argmax(scan, target, floats);
    case RoutineKind::kAccumulateRows: return lower_accumulate(id.kind, scan, target, floats);
    case RoutineKind::kAccumulateSums: return lower_accumulate(id.kind, scan, target, Epilogue::kSum);
    case RoutineKind::kStreamToRows: return lower_stream_to_rows(scan, target, floats);
  }
  throw InternalError("unknown routine");
}

std::vector<Program> lower_routines(const LoweredModel& lowered) {
  std::vector<Program> result;
  for (const RoutineId& id : routines_of(lowered)) result.push_back(lower_routine(id, lowered));
  return result;
}

}  // namespace mithral::codegen
