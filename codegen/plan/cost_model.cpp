#include "codegen/plan/cost_model.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "codegen/encode/encoder_lowering.h"
#include "codegen/encode/lower_stage.h"
#include "codegen/encode/trees/trees_lowering.h"
#include "codegen/model/multiples.h"
#include "codegen/program/sizes.h"

namespace mithral::codegen {
namespace {

// Where figures come from: whole calls of trees (C = 16, 32, 64), linear dims (S = 16 to D) and mixtures, avx512_vbmi
// and avx2, (N x D x M) of 10000x512x10, 10000x512x100, 10000x128x10, 10000x256x32, 10000x25x16, 10000x64x16,
// 10000x1024x64, 10240x512x512 and 10000x384x1000, in both orders, medians on an Emerald Rapids VM whose target is the
// ISA's default. All but 2 of the 396 estimates are within a factor of 2, 60 % within 25 %; of times over those of C =
// 16, by which mixtures are chosen, 80 %.

// Instructions, as the routines of codegen/encode and codegen/scan emit them.
constexpr double kStaging = 1.5;      // that stage a column of a row
constexpr double kEpilogue = 6;       // that make a vector of outputs of sums
constexpr double kTransposition = 4;  // that write a vector of a tile and bring it into rows
constexpr double kWidening = 3;       // that add a group of bytes in 16 bits (group_sums.h)

constexpr double kQuantising = 18;     // that quantise a vector of four linear dims
constexpr double kRowQuantising = 20;  // and more where rows are quantised as they lie
constexpr double kDot = 1.2;           // that add four dims' products to a vector of sums, but for
constexpr double kFactor = 1;          // the factor that is loaded for as many outputs, or rows, as share it
constexpr double kWordDots = 3.6;      // all of it where products are added in 16 bits first

// Cycles. What llvm-mca says of the loops alone (make static-cost) would be 4 instructions; this is what whole calls
// reach.
constexpr double kIssue = 2.6;  // instructions a cycle
constexpr double kLoads = 2;    // vectors read a cycle
constexpr double kFarLoad = 1;  // of a vector that L1 has no room for

// Times as fast as rows are read, of which some lines here and there are used: the hardware sees what comes next of a
// column.
constexpr double kColumnRate = 2;
constexpr double kStrayLine = 1.3;  // of the time of a line, where these are here and there

// Arrays of one megabyte are in the second cache, those of 24 in memory.
constexpr double kNearBytes = 1 << 20, kFarBytes = 24 << 20;
constexpr double kNear = 0.35;  // of the time from memory

// Nanoseconds. Those of the exact product are of the fastest of OpenBLAS, BLIS and oneDNN on one thread, in the layout
// that suits it, on a 3.2 GHz Zen 3 and a 2.8 GHz Ice Lake server: NumPy's takes up to four times as long where outputs
// are few.
constexpr double kCall = 1000;            // of any call: Python, checks
constexpr double kTableByte = 1 / 40.0;   // of a table when a call first reads it
constexpr double kMatrixByte = 1 / 20.0;  // of B, which is larger and so farther away
constexpr double kExactFlop = 1 / 115.0;  // a float32 multiplication or addition
constexpr double kExactValue = 0.1;       // of a value of X read or of Y written
constexpr double kNanosecond = 1e-9;

double encode_cycles(const Work& work, const Target& target) {
  const double quantising = static_cast<double>(work.codes.n_fours()) * kQuantising;
  return (work.encoder_instructions + quantising) / kIssue / target.lanes();
}

bool accumulates(const Work& work) { return work.n_outputs >= work.min_outputs && !work.makes_latents; }

// Cycles of a row's linear dims for all outputs, by rows or by outputs.
double linear_cycles(const Work& work, const Target& target) {
  const double vectors = static_cast<double>(work.codes.n_fours() * work.n_outputs) / target.lanes();
  if (!target.has(Feature::kByteDots)) return vectors * kWordDots / kIssue;
  return vectors * (kDot + kFactor / (accumulates(work) ? work.linear_rows : work.linear_outputs)) / kIssue;
}

// Cycles of all outputs of a row, in as many rows as a look-up has bytes.
double shuffle_cycles(const Work& work, const Target& target) {
  const bool four_codebooks = work.codes.packing == CodeLayout::Packing::kFourCodebooks;
  const auto tables = static_cast<double>(divide_up(work.n_entries, table_reach(work.n_entries, work.codes, target)));
  const double lookups = static_cast<double>(work.codes.vectors_of_block()) * tables;
  const double instructions = 2 + 1.0 / work.table_blocks;  // look up, add, and a share of loading the table
  const double sums = four_codebooks || work.n_groups == 1 ? 0 : kWidening * work.n_groups;
  const double finish = (kEpilogue + kTransposition) * (four_codebooks ? 1 : 4);
  const double cycles =
      std::max(lookups / target.shuffles_per_cycle, lookups * instructions / kIssue) + (sums + finish) / kIssue;
  return cycles / work.codes.block_rows() * static_cast<double>(work.n_outputs);
}

// The part of a tile's tables that L1 has no room for.
double far_part(const Work& work, const Target& target) {
  const int64_t outputs = std::min<int64_t>(round_up(work.n_outputs, target.vector_bytes), work.tile_outputs);
  const auto bytes = static_cast<double>((work.n_codebooks * work.n_entries + work.codes.n_linear) * outputs);
  return std::max(0.0, 1 - static_cast<double>(target.l1_bytes) / bytes);
}

// Cycles of all outputs of a row, whose table rows are added up.
double accumulate_cycles(const Work& work, const Target& target) {
  const auto pieces = [&](int outputs) { return static_cast<double>(divide_up(work.n_outputs, outputs)); };
  const double vectors = pieces(target.vector_bytes), codes = pieces(work.tile_outputs),
               results = pieces(target.lanes());
  const auto codebooks = static_cast<double>(work.n_codebooks);
  const double widening = work.n_groups == 1 ? 0 : kWidening * work.n_groups * vectors;
  const double instructions = (vectors + 2 * codes) * codebooks + widening + kEpilogue * results;
  const double loads = (vectors + codes) * codebooks + 2 * results;
  return std::max(loads / kLoads, instructions / kIssue) + vectors * codebooks * far_part(work, target) * kFarLoad;
}

double scan_cycles(const Work& work, const Target& target) {
  return (accumulates(work) ? accumulate_cycles(work, target) : shuffle_cycles(work, target)) +
         linear_cycles(work, target);
}

// Bytes of a row's input that are read, as long as reading them takes.
double input_bytes(const Work& work, InputOrder order) {
  if (order == InputOrder::kColumnMajor) return work.n_columns * kFloatBytes / kColumnRate;
  const double some_lines = work.n_lines * double{kLineBytes} * kStrayLine,
               whole_row = static_cast<double>(work.n_features) * kFloatBytes;
  return std::min(some_lines, std::max(whole_row, double{kLineBytes}) / kColumnRate);  // as if all were read
}

// Bytes of a row's outputs that go to memory.
double output_bytes(const Work& work) {
  return work.makes_latents ? 0 : static_cast<double>(work.n_outputs) * kFloatBytes;
}

// The share of the time from memory, or to it, that moving a byte takes where calls touch so many bytes again and
// again.
double distance(double bytes) {
  const double share = std::log2(std::max(bytes, 1.0) / kNearBytes) / std::log2(kFarBytes / kNearBytes);
  return kNear + (1 - kNear) * std::clamp(share, 0.0, 1.0);
}

// Nanoseconds per row of what is read, staged and written.
double moving_nanoseconds(const Work& work, const Target& target, InputOrder order, double distance) {
  const double moving = (input_bytes(work, order) + output_bytes(work)) * distance / target.memory_gigabytes;
  if (order == InputOrder::kColumnMajor) return moving;
  const double in_place = (work.n_columns - work.n_staged) / CodeLayout::kBytesOfLane / target.lanes();
  return moving + (work.n_staged * kStaging + in_place * kRowQuantising) / kIssue / target.gigahertz;
}

double row_nanoseconds(const Work& work, const Target& target, InputOrder order, double distance) {
  const double computing = (encode_cycles(work, target) + scan_cycles(work, target)) / target.gigahertz;
  return computing + moving_nanoseconds(work, target, order, distance);
}

std::shared_ptr<const Work> work_of_latents(const std::shared_ptr<const ModelShape>& shape, const Target& target) {
  if (!shape) return nullptr;
  Work work = work_of(*shape, target);
  work.makes_latents = true;
  return std::make_shared<const Work>(std::move(work));
}

}  // namespace

Work work_of(const Model& model, const Schedule& schedule, const Target& target) {
  const std::unique_ptr<const EncoderLowering> encoder = encoder_lowering(model);
  return {.n_features = model.n_features(),
          .n_outputs = model.n_outputs(),
          .n_codebooks = model.n_codebooks(),
          .n_entries = model.n_entries(),
          .encoder_instructions = encoder->instructions(target),
          .n_lines = static_cast<double>(count_lines(encoder->columns())),
          .n_columns = static_cast<double>(encoder->columns().size()),
          .n_staged = static_cast<double>(staged_columns(model, schedule.stage.row_vectors * target.lanes()).size()),
          .n_groups = static_cast<double>(schedule.groups.size()),
          .codes = schedule.codes,
          .table_blocks = schedule.scan.table_blocks,
          .tile_outputs = schedule.accumulate.tile_outputs,
          .min_outputs = schedule.accumulate.min_outputs,
          .linear_outputs = schedule.scan.linear_outputs,
          .linear_rows = schedule.accumulate.linear_rows,
          .latents = work_of_latents(shape_of_latents(model), target)};
}

Work work_of(const ModelShape& shape, const Target& target) {
  const CodeLayout codes = choose_layout(shape.n_codebooks, shape.n_entries, shape.n_linear, target);
  return {.n_features = shape.n_features,
          .n_outputs = shape.n_outputs,
          .n_codebooks = shape.n_codebooks,
          .n_entries = shape.n_entries,
          .encoder_instructions = static_cast<double>(shape.n_codebooks) * tree_instructions(shape.depth, target),
          .n_lines = shape.n_lines,
          .n_columns = shape.n_columns,
          .n_staged = shape.n_columns - static_cast<double>(shape.n_adjacent),
          .n_groups = shape.n_groups,
          .codes = codes,
          .table_blocks = choose_table_blocks(codes, target),
          .tile_outputs = choose_tile_outputs(codes, target),
          .min_outputs = choose_min_outputs(shape.n_entries, codes, target),
          .linear_outputs = choose_linear_outputs(codes, target),
          .linear_rows = choose_linear_rows(codes, target),
          .latents = work_of_latents(shape.latents, target)};
}

double row_seconds(const Work& work, const Target& target, InputOrder order) {
  const double latents = work.latents ? row_seconds(*work.latents, target, order) : 0;
  return latents + row_nanoseconds(work, target, order, 1) * kNanosecond;
}

// Tables are read once, as far as rows select them. Rows that fill no block are encoded as one, and accumulated.
double call_seconds(const Work& work, int64_t n_rows, const Target& target, InputOrder order) {
  const int64_t block_rows = work.codes.block_rows(), whole = round_down(n_rows, block_rows), rest = n_rows - whole;
  const double table_bytes =
      static_cast<double>(work.n_outputs) *
      static_cast<double>(work.n_codebooks * std::min(work.n_entries, n_rows) + work.codes.n_linear);
  const double away = distance(static_cast<double>(n_rows) * (input_bytes(work, order) + output_bytes(work)));
  double nanoseconds = (work.makes_latents ? 0 : kCall) + table_bytes * kTableByte;
  if (rest > 0) {
    nanoseconds += (encode_cycles(work, target) * static_cast<double>(block_rows) +
                    (accumulate_cycles(work, target) + linear_cycles(work, target)) * static_cast<double>(rest)) /
                   target.gigahertz;
    nanoseconds += moving_nanoseconds(work, target, order, away) * static_cast<double>(rest);
  }
  const double latents = work.latents ? call_seconds(*work.latents, n_rows, target, order) : 0;
  return latents +
         (nanoseconds + static_cast<double>(whole) * row_nanoseconds(work, target, order, away)) * kNanosecond;
}

// Its X and Y are read and written in long runs, from where a kernel's are.
double exact_seconds(int64_t n_features, int64_t n_outputs, int64_t n_rows, const Target& target) {
  const auto d = static_cast<double>(n_features), m = static_cast<double>(n_outputs),
             rows = static_cast<double>(n_rows);
  const double value = std::max(kExactValue, kFloatBytes / (kColumnRate * target.memory_gigabytes));
  return (kCall + d * m * kFloatBytes * kMatrixByte + rows * (2 * d * m * kExactFlop + (d + m) * value)) * kNanosecond;
}

}  // namespace mithral::codegen
