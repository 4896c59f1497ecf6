// Codes -> outputs, by look-ups of many rows at once and by adding up table rows: the routines of the scan.
#pragma once

#include "codegen/program/program.h"
#include "codegen/program/routine.h"
#include "codegen/program/target.h"
#include "codegen/scan/epilogue.h"
#include "codegen/scan/scan_plan.h"

namespace mithral::codegen {

// Look-ups (lower_scan.cpp, lower_argmax.cpp): kScanToColumns, kStreamToColumns, kRangeToColumns and kSumsToColumns;
// kScanToRows and kSumsToRows; kArgmax. The kinds named sums have Epilogue::kSum, and no others.
Program lower_scan_to_columns(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue);
Program lower_scan_to_rows(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue);
Program lower_argmax(const ScanPlan& plan, const Target& target, Epilogue epilogue);

// Accumulation (lower_accumulate.cpp): kAccumulateRows and kAccumulateSums; kStreamToRows.
Program lower_accumulate(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue);
Program lower_stream_to_rows(const ScanPlan& plan, const Target& target, Epilogue epilogue);

}  // namespace mithral::codegen
