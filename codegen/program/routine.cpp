#include "codegen/program/routine.h"

#include "codegen/model/error.h"

namespace mithral::codegen {
namespace {

bool reads_columns(RoutineKind kind) {
  return kind == RoutineKind::kEncode || kind == RoutineKind::kQuantise || kind == RoutineKind::kQuantiseRows;
}

const char* kind_name(RoutineKind kind) {
  switch (kind) {
#define ROUTINE(kind, name, Arguments) \
  case RoutineKind::kind: return name;
    MITHRAL_ROUTINES(ROUTINE)
#undef ROUTINE
  }
  throw InternalError("unknown routine");
}

}  // namespace

std::vector<RoutineId> all_routines() {
  std::vector<RoutineId> result;
  for (const RoutineKind kind : kRoutineKinds) {
    for (const InputType type : kInputTypes) {
      if (type == InputType::kFloat32 || reads_columns(kind)) result.push_back({kind, type});
    }
  }
  return result;
}

std::string routine_name(const RoutineId& id) {
  const std::string name = kind_name(id.kind);
  return id.type == InputType::kFloat32 ? name : name + "_" + input_type_name(id.type);
}

std::span<const char* const> argument_names(RoutineKind kind) {
  switch (kind) {
#define ROUTINE(kind, name, Arguments) \
  case RoutineKind::kind: return Arguments::kNames;
    MITHRAL_ROUTINES(ROUTINE)
#undef ROUTINE
  }
  throw InternalError("unknown routine");
}

}  // namespace mithral::codegen
