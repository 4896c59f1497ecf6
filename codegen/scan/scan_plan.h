// Sizes and groupings that the scan's programs depend on, beside target and epilogue; never an entry.
#pragma once

#include "codegen/program/code_layout.h"
#include "codegen/scan/linear_plan.h"
#include "codegen/scan/lookup_tables.h"
#include "codegen/scan/lut_groups.h"
#include "codegen/scan/row_tables.h"
#include "codegen/scan/scan_schedule.h"
#include "codegen/scan/table_shape.h"

namespace mithral::codegen {

struct ScanPlan {
  TableShape shape;
  CodeLayout codes;
  LutGroups groups;  // which entries are added in bytes
  LinearPlan linear;
  ScanSchedule scan;
  AccumulateSchedule accumulate;
  LookupTables lookup_tables;      // how the tables lie for look-ups
  RowTables row_tables;            // and for accumulation
  bool biased_products_are_exact;  // epilogue.h
};

}  // namespace mithral::codegen
