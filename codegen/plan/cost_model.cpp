#include "codegen/plan/cost_model.h"

#include <algorithm>

#include "codegen/encode/encoder_lowering.h"
#include "codegen/encode/lower_stage.h"
#include "codegen/encode/trees/trees_lowering.h"
#include "codegen/model/multiples.h"

namespace mithral::codegen {
namespace {

constexpr double kFloatBytes = 4, kLineBytes = 64;

// Instructions, as the routines of codegen/encode and codegen/scan emit them.
constexpr double kStaging = 1.5;      // that stage a column of a row
constexpr double kEpilogue = 6;       // that make a vector of outputs of sums
constexpr double kTransposition = 4;  // that write a vector of a tile and bring it into rows
constexpr double kWidening = 3;       // that add a group of bytes in 16 bits (group_sums.h)

constexpr double kIssue = 4;  // instructions a cycle that these loops reach, on any of the CPUs
constexpr double kLoads = 2;  // vectors read a cycle

// Nanoseconds.
constexpr double kCall = 1000;            // of any call: Python, checks
constexpr double kTableByte = 1 / 20.0;   // of a table, or of B, when a call first reads it
constexpr double kExactFlop = 1 / 115.0;  // a float32 multiplication or addition of the exact product
constexpr double kExactValue = 0.1;       // of a value of X read or of Y written by the exact product

double encode_cycles(const Work& work, const Target& target) {
  return work.encoder_instructions / kIssue / target.lanes();
}

// Cycles of all outputs of a row, in as many rows as a look-up has bytes.
double shuffle_cycles(const Work& work, const Target& target) {
  const bool four_codebooks = work.codes.packing == CodeLayout::Packing::kFourCodebooks;
  const auto tables = static_cast<double>(divide_up(work.n_entries, table_reach(work.codes, target)));
  const double lookups = static_cast<double>(work.codes.vectors_of_block()) * tables;
  const double instructions = 2 + 1.0 / work.table_blocks;  // look up, add, and a share of loading the table
  const double sums = four_codebooks || work.n_groups == 1 ? 0 : kWidening * work.n_groups;
  const double finish = (kEpilogue + kTransposition) * (four_codebooks ? 1 : 4);
  const double cycles =
      std::max(lookups / target.shuffles_per_cycle, lookups * instructions / kIssue) + (sums + finish) / kIssue;
  return cycles / work.codes.block_rows() * static_cast<double>(work.n_outputs);
}

// Cycles of all outputs of a row, whose table rows are added up.
double accumulate_cycles(const Work& work, const Target& target) {
  const auto pieces = [&](int outputs) { return static_cast<double>(divide_up(work.n_outputs, outputs)); };
  const double vectors = pieces(target.vector_bytes), tiles = pieces(work.tile_outputs);
  const auto codebooks = static_cast<double>(work.n_codebooks);
  const double addresses = 2 * codebooks * tiles;
  const double widening = work.n_groups == 1 ? 0 : kWidening * work.n_groups * vectors;
  const double results = pieces(target.lanes());
  const double loads = (vectors * codebooks + codebooks * tiles + 2 * results) / kLoads;
  return std::max(loads, (vectors * codebooks + addresses + widening + kEpilogue * results) / kIssue);
}

double scan_cycles(const Work& work, const Target& target) {
  return work.n_outputs >= work.min_outputs ? accumulate_cycles(work, target) : shuffle_cycles(work, target);
}

// Nanoseconds per row of what goes from memory, and is staged, and to it.
double input_nanoseconds(const Work& work, const Target& target, InputOrder order) {
  if (order == InputOrder::kColumnMajor) return work.n_columns * kFloatBytes / target.memory_gigabytes;
  return work.n_lines * kLineBytes / target.memory_gigabytes + work.n_columns * kStaging / kIssue / target.gigahertz;
}

double output_nanoseconds(const Work& work, const Target& target) {
  return static_cast<double>(work.n_outputs) * kFloatBytes / target.memory_gigabytes;
}

constexpr double kNanosecond = 1e-9;

}  // namespace

Work work_of(const Model& model, const EncoderLowering& encoder, const Schedule& schedule, const Target& target) {
  return {.n_outputs = model.n_outputs(),
          .n_codebooks = model.n_codebooks(),
          .n_entries = model.n_entries(),
          .encoder_instructions = encoder.instructions(target),
          .n_lines = static_cast<double>(count_lines(encoder.columns())),
          .n_columns = static_cast<double>(encoder.columns().size()),
          .n_groups = static_cast<double>(schedule.groups.size()),
          .codes = schedule.codes,
          .table_blocks = schedule.scan.table_blocks,
          .tile_outputs = schedule.accumulate.tile_outputs,
          .min_outputs = schedule.accumulate.min_outputs};
}

Work work_of(const ModelShape& shape, const Target& target) {
  const CodeLayout codes = choose_layout(shape.n_codebooks, shape.n_entries, target);
  return {.n_outputs = shape.n_outputs,
          .n_codebooks = shape.n_codebooks,
          .n_entries = shape.n_entries,
          .encoder_instructions = static_cast<double>(shape.n_codebooks) * tree_instructions(shape.depth, target),
          .n_lines = shape.n_lines,
          .n_columns = shape.n_columns,
          .n_groups = shape.n_groups,
          .codes = codes,
          .table_blocks = choose_table_blocks(codes, target),
          .tile_outputs = choose_tile_outputs(target),
          .min_outputs = choose_min_outputs(shape.n_entries, codes, target)};
}

double row_seconds(const Work& work, const Target& target, InputOrder order) {
  const double computing = (encode_cycles(work, target) + scan_cycles(work, target)) / target.gigahertz;
  return (computing + input_nanoseconds(work, target, order) + output_nanoseconds(work, target)) * kNanosecond;
}

// Tables are read once, as far as rows select them. Rows that fill no block are encoded as one, and accumulated.
double call_seconds(const Work& work, int64_t n_rows, const Target& target, InputOrder order) {
  const int64_t block_rows = work.codes.block_rows(), whole = round_down(n_rows, block_rows), rest = n_rows - whole;
  const double table_bytes =
      static_cast<double>(work.n_codebooks * work.n_outputs) * static_cast<double>(std::min(work.n_entries, n_rows));
  double nanoseconds = kCall + table_bytes * kTableByte;
  if (rest > 0) {
    nanoseconds += (encode_cycles(work, target) * static_cast<double>(block_rows) +
                    accumulate_cycles(work, target) * static_cast<double>(rest)) /
                   target.gigahertz;
    nanoseconds +=
        (input_nanoseconds(work, target, order) + output_nanoseconds(work, target)) * static_cast<double>(rest);
  }
  return nanoseconds * kNanosecond + static_cast<double>(whole) * row_seconds(work, target, order);
}

double exact_seconds(int64_t n_features, int64_t n_outputs, int64_t n_rows) {
  const auto d = static_cast<double>(n_features), m = static_cast<double>(n_outputs),
             rows = static_cast<double>(n_rows);
  return (kCall + d * m * kFloatBytes * kTableByte + rows * (2 * d * m * kExactFlop + (d + m) * kExactValue)) *
         kNanosecond;
}

}  // namespace mithral::codegen
