#include "codegen/lower.h"

#include "codegen/encode/trees/lower_trees_bytes.h"
#include "codegen/model/error.h"
#include "codegen/model/float_environment.h"

namespace mithral::codegen {

LoweredModel lower(const Model& model, const Schedule& schedule, const Target& target, Activation activation) {
  check_schedule(schedule, model, target);
  LoweredModel result{
      .target = target, .schedule = schedule, .activation = activation, .trees = analyse_trees(model), .programs = {}};
  for (int i = 0; i < kFirstRoutines; ++i) {
    result.programs[i] = lower_routine(static_cast<Routine>(i), model, result);
  }
  return result;
}

Program lower_routine(Routine routine, const Model& model, const LoweredModel& lowered) {
  const Schedule& schedule = lowered.schedule;
  const Target& target = lowered.target;
  const DefaultFloatEnvironment ieee;  // thresholds are compared
  const Epilogue floats = epilogue_of(lowered.activation);
  const auto encode = [&](InputType type) {
    const bool as_bytes = encodes_bytes(lowered.trees, schedule.codes, type);
    return (as_bytes ? lower_encode_bytes : lower_encode)(lowered.trees, schedule.codes, target, type);
  };
  switch (routine) {
    case Routine::kStageRows: return lower_stage_rows(lowered.trees, schedule, target);
    case Routine::kEncode: return encode(InputType::kFloat32);
    case Routine::kScanToRows: return lower_scan_to_rows(model, schedule, target, floats);
    case Routine::kScanToColumns: return lower_scan_to_columns(model, schedule, target, floats);
    case Routine::kSumsToRows: return lower_scan_to_rows(model, schedule, target, Epilogue::kSum);
    case Routine::kSumsToColumns: return lower_scan_to_columns(model, schedule, target, Epilogue::kSum);
    case Routine::kArgmax: return lower_argmax(model, schedule, target, floats);
    case Routine::kRangeToColumns: return lower_range_to_columns(model, schedule, target, floats);
    case Routine::kAccumulate: return lower_accumulate(model, schedule, target, floats);
    case Routine::kAccumulateSums: return lower_accumulate(model, schedule, target, Epilogue::kSum);
    case Routine::kEncodeInt8: return encode(InputType::kInt8);
    case Routine::kEncodeUint8: return encode(InputType::kUint8);
    case Routine::kEncodeInt16: return encode(InputType::kInt16);
    case Routine::kEncodeFloat16: return encode(InputType::kFloat16);
    case Routine::kEncodeBfloat16: return encode(InputType::kBfloat16);
    case Routine::kStreamToColumns: return lower_stream_to_columns(model, schedule, target, floats);
    case Routine::kStreamToRows: return lower_stream_to_rows(model, schedule, target, floats);
  }
  throw InternalError("unknown routine");
}

std::vector<Program> lower_routines(const Model& model, const LoweredModel& lowered) {
  std::vector<Program> result;
  for (int i = 0; i < kRoutineCount; ++i) {
    result.push_back(lower_routine(static_cast<Routine>(i), model, lowered));
  }
  return result;
}

}  // namespace mithral::codegen
