#include "codegen/scan/lookup_tables.h"

#include <algorithm>
#include <bit>

#include "codegen/model/multiples.h"
#include "codegen/program/byte_blocks.h"
#include "codegen/scan/lut_segments.h"

namespace mithral::codegen {
namespace {

// One group per codebook, in their order.
LutGroups single_groups(int64_t n_codebooks) {
  LutGroups groups(n_codebooks);
  for (int64_t c = 0; c < n_codebooks; ++c) groups[c] = {static_cast<int>(c)};
  return groups;
}

// Outputs whose entries of one code are a cache line: it is read once, though it may not stay in L1 (rows of 4 KiB or a
// multiple compete for the same places).
constexpr int64_t kLineOutputs = 64;

// `count` entries from `first` on of one codebook, for outputs m to m + 15 or as far as they go: output by output to
// to(i), 16 bytes each, zeros where there is no entry.
template <typename To>
void gather_entries(const Tables& tables, int64_t codebook, int64_t first, int64_t count, int64_t m, To&& to) {
  const int64_t outputs = std::min<int64_t>(kByteBlock, tables.n_outputs() - m);
  alignas(16) uint8_t rows[kByteBlock][kByteBlock] = {};
  for (int64_t i = 0; i < count; ++i) std::copy_n(tables.entries(codebook, first + i) + m, outputs, rows[i]);
  alignas(16) uint8_t columns[kByteBlock][kByteBlock];
  transpose_bytes([&](int i) { return rows[i]; }, [&](int i) { return columns[i]; });
  for (int64_t i = 0; i < outputs; ++i) std::copy_n(columns[i], kByteBlock, to(i));
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
  return {Kind::kSegments, shape, groups, int64_t{lut_segments(shape.n_entries)} * kSegmentEntries, differences};
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
  constexpr int64_t kLineBytes = 64;
  if (shape_.n_linear == 0) return bytes_of_codebooks();
  return round_up(bytes_of_codebooks() + shape_.n_linear, kLineBytes);
}

int64_t LookupTables::place(int64_t at_group, size_t group_size, size_t i, int64_t segment) const {
  if (kind_ != Kind::kSegments) return at_group + static_cast<int64_t>(i) * bytes_of_codebook_ + segment * kByteBlock;
  return at_group + (segment * static_cast<int64_t>(group_size) + static_cast<int64_t>(i)) * kSegmentEntries;
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
  const int n_segments = static_cast<int>(divide_up(shape_.n_entries, kByteBlock));
  const bool differences = differences_ && n_segments > 1;
  std::vector<uint8_t> table(n_segments * kByteBlock);  // of one codebook and output
  for (int64_t m = 0; m < shape_.n_outputs; m += kLineOutputs) {
    const int64_t outputs = std::min(kLineOutputs, shape_.n_outputs - m);
    uint8_t* first = to + m * bytes_of_output();
    int64_t at_group = 0;
    for (const std::vector<int>& group : groups_) {
      for (size_t i = 0; i < group.size(); ++i) {
        const auto segment_of = [&](int64_t output, int64_t s) {
          return first + output * bytes_of_output() + place(at_group, group.size(), i, s);
        };
        for (int s = 0; s < n_segments; ++s) {
          const int64_t count = std::min<int64_t>(kByteBlock, shape_.n_entries - s * kByteBlock);
          for (int64_t j = 0; j < outputs; j += kByteBlock) {
            gather_entries(tables, group[i], s * kByteBlock, count, m + j,
                           [&](int64_t k) { return segment_of(j + k, s); });
          }
        }
        for (int64_t j = 0; differences && j < outputs; ++j) {
          for (int s = 0; s < n_segments; ++s) std::copy_n(segment_of(j, s), kByteBlock, &table[s * kByteBlock]);
          store_differences(table.data(), n_segments);
          for (int s = 0; s < n_segments; ++s) std::copy_n(&table[s * kByteBlock], kByteBlock, segment_of(j, s));
        }
      }
      at_group += static_cast<int64_t>(group.size()) * bytes_of_codebook_;
    }
  }
}

}  // namespace mithral::codegen
