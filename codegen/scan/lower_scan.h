// Codes -> outputs, by look-ups of many rows at once and by adding up table rows: the routines of the scan.
#pragma once

#include "codegen/program/program.h"
#include "codegen/scan/epilogue.h"
#include "codegen/scan/scan_plan.h"

namespace mithral::codegen {

// Look-ups (lower_scan.cpp, lower_argmax.cpp): kScanToRows and kSumsToRows, kScanToColumns and kSumsToColumns,
// kStreamToColumns, kRangeToColumns, kArgmax.
Program lower_scan_to_rows(const ScanPlan& plan, const Target& target, Epilogue epilogue);
Program lower_scan_to_columns(const ScanPlan& plan, const Target& target, Epilogue epilogue);
Program lower_stream_to_columns(const ScanPlan& plan, const Target& target, Epilogue epilogue);
Program lower_range_to_columns(const ScanPlan& plan, const Target& target, Epilogue epilogue);
Program lower_argmax(const ScanPlan& plan, const Target& target, Epilogue epilogue);

// Accumulation (lower_accumulate.cpp): kAccumulateRows and kAccumulateSums, kStreamToRows.
Program lower_accumulate(const ScanPlan& plan, const Target& target, Epilogue epilogue);
Program lower_stream_to_rows(const ScanPlan& plan, const Target& target, Epilogue epilogue);

}  // namespace mithral::codegen
