// How a model's work is cut up, routine by routine: sizes and orders only. A schedule never changes a result; tests run
// several and compare bytes.
#pragma once

#include <cstdint>

#include "codegen/encode/stage_schedule.h"
#include "codegen/model/model.h"
#include "codegen/program/code_layout.h"
#include "codegen/program/target.h"
#include "codegen/scan/lut_groups.h"
#include "codegen/scan/scan_schedule.h"

namespace mithral::codegen {

// Calls: what is done with chunks of rows, and where outputs go.
struct CallSchedule {
  int chunk_blocks = 1;      // blocks that are encoded, then scanned, before the next ones: their codes stay in cache
  int64_t stream_bytes = 0;  // calls that touch so many bytes write float32 outputs past the caches, where possible
};

struct Schedule {
  CodeLayout codes;  // where codes are between encoding and scanning (code_layout.h)
  LutGroups groups;  // which table entries are added in bytes (lut_groups.h)
  StageSchedule stage;
  ScanSchedule scan;
  AccumulateSchedule accumulate;
  CallSchedule call;
};

// `ranges` are those of the model's tables.
Schedule choose_schedule(const Model& model, const EntryRanges& ranges, const Target& target);
Schedule choose_schedule(const Model& model, const Target& target);

// Parts of it that the cost model needs for models that do not exist yet.
CodeLayout choose_layout(int64_t n_codebooks, int64_t n_entries, int64_t n_linear, const Target& target);
int choose_tile_outputs(const CodeLayout& codes, const Target& target);                        // accumulate's
int64_t choose_min_outputs(int64_t n_entries, const CodeLayout& codes, const Target& target);  // accumulate's

// Entries of a table of n_entries that one look-up chooses among, for codes of this layout.
int64_t table_reach(int64_t n_entries, const CodeLayout& codes, const Target& target);

// ScanSchedule::linear_outputs and AccumulateSchedule::linear_rows for codes of this layout.
int choose_linear_outputs(const CodeLayout& codes, const Target& target);
int choose_linear_rows(const CodeLayout& codes, const Target& target);

// ScanSchedule::table_blocks for codes of this layout: enough independent sums to hide the latency of adding to them.
int choose_table_blocks(const CodeLayout& codes, const Target& target);

// Throws InternalError for a schedule that lowering cannot follow, or whose groups could overflow.
void check_schedule(const Schedule& schedule, const Model& model, const EntryRanges& ranges, const Target& target);

}  // namespace mithral::codegen
