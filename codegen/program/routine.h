// The routines of a kernel: what each is for, how it is named, and what it is called with (routine_arguments.h). This
// is the one definition that lowering, executor, ahead-of-time kernels and tests share.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "codegen/model/input_view.h"
#include "codegen/program/routine_arguments.h"

namespace mithral::codegen {

// What a routine is for, its program's name, its arguments.
#define MITHRAL_ROUTINES(ROUTINE)                                      \
  ROUTINE(kStageRows, "stage_rows", StageArguments)                    \
  ROUTINE(kEncode, "encode", EncodeArguments)                          \
  ROUTINE(kQuantise, "quantise", QuantiseArguments)                    \
  ROUTINE(kQuantiseRows, "quantise_rows", QuantiseRowsArguments)       \
  ROUTINE(kScanToRows, "scan_to_rows", ScanArguments)                  \
  ROUTINE(kScanToColumns, "scan_to_columns", ScanArguments)            \
  ROUTINE(kStreamToColumns, "stream_to_columns", ScanArguments)        \
  ROUTINE(kSumsToRows, "sums_to_rows", ScanArguments)                  \
  ROUTINE(kSumsToColumns, "sums_to_columns", ScanArguments)            \
  ROUTINE(kRangeToColumns, "range_to_columns", ScanArguments)          \
  ROUTINE(kArgmax, "argmax", ArgmaxArguments)                          \
  ROUTINE(kAccumulateRows, "accumulate_rows", AccumulateArguments)     \
  ROUTINE(kAccumulateSums, "accumulate_row_sums", AccumulateArguments) \
  ROUTINE(kStreamToRows, "stream_to_rows", StreamRowsArguments)

enum class RoutineKind : uint8_t {
#define ROUTINE(kind, name, Arguments) kind,
  MITHRAL_ROUTINES(ROUTINE)
#undef ROUTINE
};

inline constexpr RoutineKind kRoutineKinds[] = {
#define ROUTINE(kind, name, Arguments) RoutineKind::kind,
    MITHRAL_ROUTINES(ROUTINE)
#undef ROUTINE
};

// Which routine of a model's: a value, not a place in a list.
struct RoutineId {
  RoutineKind kind;
  InputType type = InputType::kFloat32;  // of the columns, where these are read: kEncode, kQuantise, kQuantiseRows

  auto operator<=>(const RoutineId&) const = default;
};

// All routines of a model: every kind, and of kinds that read columns one for every input type.
std::vector<RoutineId> all_routines();

// A number below kRoutineSlots, for arrays by routine.
inline constexpr size_t kRoutineSlots = std::size(kRoutineKinds) * std::size(kInputTypes);
constexpr size_t slot(const RoutineId& id) {
  return static_cast<size_t>(id.kind) * std::size(kInputTypes) + static_cast<size_t>(id.type);
}

// "encode", "encode_int8", ...
std::string routine_name(const RoutineId& id);

// The names of its arguments, in order.
std::span<const char* const> argument_names(RoutineKind kind);

// Whether `Arguments` is what routines of this kind take.
template <typename Arguments>
bool takes(RoutineKind kind) {
  return argument_names(kind).data() == Arguments::kNames;
}

}  // namespace mithral::codegen
