#include "codegen/scan/lookup_tables.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "codegen/model/multiples.h"
#include "codegen/program/byte_blocks.h"
#include "codegen/program/sizes.h"
#include "codegen/scan/lut_segments.h"

namespace mithral::codegen {
namespace {

static_assert(kSegmentEntries == kByteBlock, "a segment of a table is a block of bytes");

// One group per codebook, in their order.
LutGroups single_groups(int64_t n_codebooks) {
  LutGroups groups(n_codebooks);
  for (int64_t c = 0; c < n_codebooks; ++c) groups[c] = {static_cast<int>(c)};
  return groups;
}

// Outputs whose entries of one code are a cache line: it is read once, though it may not stay in L1 (rows of 4 KiB or a
// multiple compete for the same places).
constexpr int64_t kLineOutputs = kLineBytes;

// A codebook's tables of some outputs, and where they go, 16 entries at a time.
struct Run {
  int64_t codebook, first_output, n_outputs;
  uint8_t* to;
  int64_t output_bytes, segment_bytes;  // from an output, or a segment, to the next

  uint8_t* at(int64_t output, int64_t segment) const { return to + output * output_bytes + segment * segment_bytes; }
};

// Entries of one segment, zeros where there is no entry, of outputs m to m + 15 of the run or as far as it goes.
void store_block(const Tables& tables, const Run& run, int64_t segment, int64_t m) {
  const int64_t first = segment * kByteBlock, count = std::min<int64_t>(kByteBlock, tables.n_entries() - first);
  const int64_t outputs = std::min<int64_t>(kByteBlock, run.n_outputs - m);
  alignas(16) uint8_t rows[kByteBlock][kByteBlock] = {};
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(tables.entries(run.codebook, first + i) + run.first_output + m, outputs, rows[i]);
  }
  alignas(16) uint8_t columns[kByteBlock][kByteBlock];
  transpose_bytes([&](int i) { return rows[i]; }, [&](int i) { return columns[i]; });
  for (int64_t i = 0; i < outputs; ++i) std::copy_n(columns[i], kByteBlock, run.at(m + i, segment));
}

void store_run(const Tables& tables, const Run& run) {
  for (int s = 0; s < lut_segments(tables.n_entries()); ++s) {
    for (int64_t m = 0; m < run.n_outputs; m += kByteBlock) store_block(tables, run, s, m);
  }
}

// Entries that store_run left -> their differences, in place.
void take_differences(const Run& run, int n_segments) {
  uint8_t table[Tables::kMaxEntries];
  for (int64_t m = 0; m < run.n_outputs; ++m) {
    for (int s = 0; s < n_segments; ++s) std::copy_n(run.at(m, s), kByteBlock, table + s * kByteBlock);
    store_differences(table, n_segments);
    for (int s = 0; s < n_segments; ++s) std::copy_n(table + s * kByteBlock, kByteBlock, run.at(m, s));
  }
}

}  // namespace

bool fits_registers(int64_t n_entries, const Target& target) {
  constexpr int64_t kTwoRegisters = 128;
  return target.has(Feature::kByteTables) && (n_entries <= kTwoRegisters || target.has(Feature::kMasks));
}

LookupTables::LookupTables(Kind kind, const TableShape& shape, LutGroups groups, int64_t bytes_of_codebook,
                           bool differences)
    : kind_(kind),
      shape_(shape),
      groups_(std::move(groups)),
      bytes_of_codebook_(bytes_of_codebook),
      differences_(differences) {}

LookupTables LookupTables::segments(const TableShape& shape, const LutGroups& groups, bool differences) {
  const int n_segments = lut_segments(shape.n_entries);
  return {Kind::kSegments, shape, groups, int64_t{n_segments} * kSegmentEntries, differences && n_segments > 1};
}

LookupTables LookupTables::of(const TableShape& shape, const CodeLayout& codes, const LutGroups& groups,
                              const Target& target) {
  if (codes.packing == CodeLayout::Packing::kFourCodebooks) {
    return {Kind::kFourCodebooks, shape, single_groups(shape.n_codebooks), CodeLayout::kFourthEntries, false};
  }
  if (shape.n_entries > kSegmentEntries && fits_registers(shape.n_entries, target)) {
    const auto table_bytes = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(shape.n_entries)));
    return {Kind::kRegisters, shape, groups, std::max<int64_t>(table_bytes, target.vector_bytes), false};
  }
  return segments(shape, groups, true);
}

// Tables of four codebooks are whole vectors.
int64_t LookupTables::bytes_of_codebooks() const {
  const int64_t in_fours = round_up(shape_.n_codebooks, CodeLayout::kBytesOfLane);
  return (kind_ == Kind::kFourCodebooks ? in_fours : shape_.n_codebooks) * bytes_of_codebook_;
}

// Without weights outputs follow each other without a gap.
int64_t LookupTables::bytes_of_output() const {
  if (shape_.n_linear == 0) return bytes_of_codebooks();
  return round_up(bytes_of_codebooks() + shape_.n_linear, kLineBytes);
}

LookupTables::Place LookupTables::place_in_group(size_t group_size, size_t i) const {
  const auto index = static_cast<int64_t>(i), size = static_cast<int64_t>(group_size);
  if (kind_ == Kind::kSegments) return {index * kSegmentEntries, size * kSegmentEntries};
  return {index * bytes_of_codebook_, kByteBlock};
}

void LookupTables::store(const Tables& tables, const LinearDims& linear, uint8_t* to) const {
  store_entries(tables, to);
  to += bytes_of_codebooks();
  for (int64_t s = 0; s < shape_.n_linear; ++s) {
    const int8_t* weights = linear.weights_of(s);
    for (int64_t m = 0; m < shape_.n_outputs; ++m) to[m * bytes_of_output() + s] = static_cast<uint8_t>(weights[m]);
  }
}

// Line by line of the LUT, so that it and the lines that it goes to are in cache together.
void LookupTables::store_entries(const Tables& tables, uint8_t* to) const {
  for (int64_t m = 0; m < shape_.n_outputs; m += kLineOutputs) {
    store_outputs(tables, m, std::min(kLineOutputs, shape_.n_outputs - m), to + m * bytes_of_output());
  }
}

void LookupTables::store_outputs(const Tables& tables, int64_t first_output, int64_t n_outputs, uint8_t* to) const {
  for (const std::vector<int>& group : groups_) {
    for (size_t i = 0; i < group.size(); ++i) {
      const Place place = place_in_group(group.size(), i);
      const Run run = {group[i], first_output, n_outputs, to + place.begin, bytes_of_output(), place.segment_bytes};
      store_run(tables, run);
      if (differences_) take_differences(run, lut_segments(shape_.n_entries));
    }
    to += static_cast<int64_t>(group.size()) * bytes_of_codebook_;
  }
}

}  // namespace mithral::codegen
