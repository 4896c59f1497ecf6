// Layouts of tables against the pictures of their headers, entry by entry, and the moves of bytes that they are made
// with.
#include <gtest/gtest.h>

#include <numeric>

#include "codegen/model/multiples.h"
#include "codegen/program/byte_blocks.h"
#include "codegen/scan/lookup_tables.h"
#include "codegen/scan/lut_segments.h"
#include "codegen/scan/row_tables.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/random.h"

namespace mithral::codegen {
namespace {

using testing::GuardedBuffer;

constexpr int64_t kEntryCounts[] = {2, 3, 7, 15, 16, 17, 20, 33, 64, 65, 127, 128, 129, 200, 255, 256};
constexpr int64_t kOutputCounts[] = {1, 5, 15, 16, 17, 33};

TEST(ByteBlocks, ColumnsBecomeRows) {
  std::mt19937_64 rng(1);
  uint8_t from[kByteBlock][kByteBlock], to[kByteBlock][kByteBlock];
  for (auto& row : from) {
    for (uint8_t& byte : row) byte = static_cast<uint8_t>(rng());
  }
  transpose_bytes([&](int r) { return from[r]; }, [&](int c) { return to[c]; });
  for (int r = 0; r < kByteBlock; ++r) {
    for (int c = 0; c < kByteBlock; ++c) EXPECT_EQ(to[c][r], from[r][c]) << r << ", " << c;
  }
}

TEST(ByteBlocks, RunsInterleave) {
  std::mt19937_64 rng(2);
  for (const int64_t count : {0, 1, 4, 7, 8, 15, 16, 17, 24, 31, 32, 33}) {
    GuardedBuffer<uint8_t> from(4 * count), to(4 * count);
    for (int64_t i = 0; i < 4 * count; ++i) from.data()[i] = static_cast<uint8_t>(rng());
    const uint8_t* const runs[4] = {from.data(), from.data() + count, from.data() + 2 * count, from.data() + 3 * count};
    interleave_bytes(runs, count, to.data());
    for (int64_t i = 0; i < count; ++i) {
      for (int j = 0; j < 4; ++j) ASSERT_EQ(to.data()[4 * i + j], runs[j][i]) << count << ": " << i << ", " << j;
    }
  }
}

// Codebooks out of order, in groups of 1, 2, 3, ... of them.
LutGroups growing_groups(int64_t n_codebooks) {
  LutGroups groups;
  for (int64_t c = n_codebooks - 1; c >= 0;) {
    groups.emplace_back();
    for (size_t i = 0; i < groups.size() && c >= 0; ++i) groups.back().push_back(static_cast<int>(c--));
  }
  return groups;
}

std::vector<int> in_order(const LutGroups& groups) {
  std::vector<int> order;
  for (const auto& group : groups) order.insert(order.end(), group.begin(), group.end());
  return order;
}

// The memory that `layout` fills, between guard pages.
template <typename Layout>
std::vector<uint8_t> stored(const Layout& layout, const Tables& tables) {
  GuardedBuffer<uint8_t> memory(layout.bytes());
  layout.store(tables, {}, memory.data());
  return {memory.data(), memory.data() + memory.size()};
}

// The entry, or 0 behind the table.
int entry(const Tables& tables, int64_t codebook, int64_t code, int64_t output) {
  return code < tables.n_entries() ? tables.entry(codebook, code, output) : 0;
}

// One of entries' 16, by the sum that lut_segments.h gives for segment s; `from(s)` is the T[s] of it.
template <typename From>
int difference(int s, int n_segments, From&& from) {
  const auto t = [&](int i) { return i < n_segments ? from(i) : 0; };
  return (t(s) - t(s + 1) + t(s + 8) - t(s + 9)) & 0xff;
}

TEST(LookupTables, SegmentsOfAGroupAreTogether) {
  std::mt19937_64 rng(3);
  for (const int64_t n_entries : kEntryCounts) {
    for (const int64_t n_outputs : kOutputCounts) {
      for (const bool differences : {false, true}) {
        const int64_t n_codebooks = 1 + static_cast<int64_t>(rng() % 8);
        const Tables tables = testing::random_tables(rng, n_codebooks, n_entries, n_outputs, testing::Entries::kAny);
        const LutGroups groups = growing_groups(n_codebooks);
        const auto layout = LookupTables::segments(table_shape(tables), groups, differences);
        const std::vector<uint8_t> bytes = stored(layout, tables);
        const int n_segments = static_cast<int>(divide_up(n_entries, 16));
        ASSERT_EQ(layout.bytes(), n_outputs * n_codebooks * n_segments * 16);
        size_t at = 0;
        for (int64_t m = 0; m < n_outputs; ++m) {
          for (const std::vector<int>& group : groups) {
            for (int s = 0; s < n_segments; ++s) {
              for (const int c : group) {
                for (int i = 0; i < 16; ++i) {
                  const auto segment = [&](int t) { return entry(tables, c, 16 * t + i, m); };
                  const int wanted = differences ? difference(s, n_segments, segment) : segment(s);
                  ASSERT_EQ(bytes[at++], wanted) << "K " << n_entries << ", codebook " << c << ", segment " << s;
                }
              }
            }
          }
        }
      }
    }
  }
}

// What stored differences are for: a code's look-ups in all segments add up to its entry.
TEST(LookupTables, DifferencesAddUpToEntries) {
  std::mt19937_64 rng(4);
  for (const int64_t n_entries : kEntryCounts) {
    const Tables tables = testing::random_tables(rng, 1, n_entries, 1, testing::Entries::kAny);
    const std::vector<uint8_t> bytes =
        stored(LookupTables::segments(table_shape(tables), {{0}}, n_entries > 16), tables);
    const int n_segments = lut_segments(n_entries);
    ASSERT_EQ(n_segments, divide_up(n_entries, 16));
    for (int64_t code = 0; code < n_entries; ++code) {
      int sum = 0;
      for (int s = 0; s < n_segments; ++s) {
        int64_t index = n_segments == 1 ? code : code + 16 * (7 - s);
        if (s < 7) index = std::min<int64_t>(index, 255);
        index &= 0xff;
        if (index < 128) sum += bytes[16 * s + index % 16];
      }
      EXPECT_EQ(sum & 0xff, tables.entry(0, code, 0)) << "K " << n_entries << ", code " << code;
    }
  }
}

TEST(LookupTables, RegistersHoldWholeTables) {
  std::mt19937_64 rng(5);
  const Target target = target_for(Isa::kAvx512Vbmi);
  for (const int64_t n_entries : kEntryCounts) {
    if (n_entries <= 16) continue;
    for (const int64_t n_outputs : kOutputCounts) {
      const Tables tables = testing::random_tables(rng, 7, n_entries, n_outputs, testing::Entries::kAny);
      const LutGroups groups = growing_groups(7);
      const CodeLayout codes{CodeLayout::Packing::kFourRows, 16, 7};
      const auto layout = LookupTables::of(table_shape(tables), codes, groups, target);
      ASSERT_EQ(layout.kind(), LookupTables::Kind::kRegisters);
      const int64_t table = n_entries <= 64 ? 64 : n_entries <= 128 ? 128 : 256;
      ASSERT_EQ(layout.bytes_of_codebook(), table);
      const std::vector<uint8_t> bytes = stored(layout, tables);
      size_t at = 0;
      for (int64_t m = 0; m < n_outputs; ++m) {
        for (const int c : in_order(groups)) {
          for (int64_t i = 0; i < table; ++i) {
            ASSERT_EQ(bytes[at++], entry(tables, c, i, m)) << "K " << n_entries << ", codebook " << c << ", " << i;
          }
        }
      }
      ASSERT_EQ(at, bytes.size());
    }
  }
}

TEST(LookupTables, FourRegistersNeedMasks) {
  Target target = target_for(Isa::kAvx512Vbmi);
  target.features = target.features.without({Feature::kMasks});
  const CodeLayout codes{CodeLayout::Packing::kFourRows, 16, 7};
  const auto kind = [&](int64_t n_entries) {
    return LookupTables::of({.n_codebooks = 7, .n_entries = n_entries, .n_outputs = 1}, codes, growing_groups(7),
                            target)
        .kind();
  };
  EXPECT_EQ(kind(128), LookupTables::Kind::kRegisters);
  EXPECT_EQ(kind(129), LookupTables::Kind::kSegments);
}

TEST(LookupTables, FourCodebooksAreSideBySide) {
  std::mt19937_64 rng(6);
  for (const int64_t n_entries : {2, 3, 7, 15, 16}) {
    for (const int64_t n_codebooks : {1, 3, 4, 5, 9}) {
      const Tables tables = testing::random_tables(rng, n_codebooks, n_entries, 17, testing::Entries::kAny);
      const CodeLayout codes{CodeLayout::Packing::kFourCodebooks, 16, n_codebooks};
      const auto layout =
          LookupTables::of(table_shape(tables), codes, growing_groups(n_codebooks), target_for(Isa::kAvx512Vbmi));
      ASSERT_EQ(layout.kind(), LookupTables::Kind::kFourCodebooks);
      const std::vector<uint8_t> bytes = stored(layout, tables);
      const int64_t in_fours = round_up(n_codebooks, int64_t{4});
      ASSERT_EQ(layout.bytes(), 17 * in_fours * 16);
      for (int64_t m = 0; m < 17; ++m) {
        for (int64_t c = 0; c < in_fours; ++c) {
          for (int64_t i = 0; i < 16; ++i) {
            const int wanted = c < n_codebooks ? entry(tables, c, i, m) : 0;
            ASSERT_EQ(bytes[(m * in_fours + c) * 16 + i], wanted) << "codebook " << c << ", code " << i;
          }
        }
      }
    }
  }
}

TEST(RowTables, EntriesOfACodeAreTogether) {
  std::mt19937_64 rng(7);
  for (const int lanes : {4, 8, 16}) {
    for (const int64_t n_entries : {2, 3, 17, 255}) {
      for (const int64_t n_outputs : {1, 5, 16, 47, 48, 100, 129, 200}) {
        const int vector = 4 * lanes, tile_outputs = 2 * vector;
        const Tables tables = testing::random_tables(rng, 3, n_entries, n_outputs, testing::Entries::kAny);
        const RowTables layout(table_shape(tables), tile_outputs, lanes);
        const std::vector<uint8_t> bytes = stored(layout, tables);
        size_t at = 0;
        for (int64_t first = 0; first < n_outputs; first += tile_outputs) {
          ASSERT_EQ(layout.tile_begin(first / tile_outputs), static_cast<int64_t>(at));
          const int64_t outputs = std::min<int64_t>(tile_outputs, n_outputs - first);
          for (int64_t c = 0; c < 3; ++c) {
            for (int64_t code = 0; code < n_entries; ++code) {
              for (int64_t byte = 0; byte < round_up(outputs, int64_t{vector}); ++byte) {
                const int64_t within = byte % vector, output = byte - within + within % 4 * lanes + within / 4;
                const int wanted = output < outputs ? tables.entry(c, code, first + output) : 0;
                ASSERT_EQ(bytes[at++], wanted) << lanes << " lanes, K " << n_entries << ", M " << n_outputs;
              }
            }
          }
        }
        ASSERT_EQ(at, bytes.size());
      }
    }
  }
}

}  // namespace
}  // namespace mithral::codegen
