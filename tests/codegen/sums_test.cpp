// How table entries of an output are added up and made float32: exactly, whatever the tables and scales.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "codegen/lower.h"
#include "codegen/model/error.h"
#include "codegen/model/reference.h"
#include "codegen/program/interpret.h"
#include "codegen/scan/epilogue.h"
#include "codegen/scan/lower_scan.h"
#include "codegen/scan/lut_segments.h"
#include "runtime/executable.h"
#include "runtime/host.h"
#include "tests/support/random.h"

namespace mithral::codegen {
namespace {

const Target kTarget = target_for(Isa::kAvx2);

// One output, depth 1; codebook c's largest entry is peaks[c].
Model with_peaks(const std::vector<uint8_t>& peaks) {
  testing::ModelArrays a{.n_features = 1,
                         .n_outputs = 1,
                         .n_codebooks = static_cast<int64_t>(peaks.size()),
                         .depth = 1,
                         .split_dims = std::vector<int32_t>(peaks.size()),
                         .thresholds = std::vector<float>(peaks.size()),
                         .lut = {},
                         .scale = {1},
                         .offset = {0}};
  for (const uint8_t peak : peaks) a.lut.insert(a.lut.end(), {0, peak});
  return Model(a);
}

EntryRanges ranges_of(const std::vector<uint8_t>& peaks) { return entry_ranges(with_peaks(peaks).tables()); }

// Looks a code up as the programs do: in every segment, with an index of its own, the entries added modulo 2^8.
uint8_t look_up(const std::vector<uint8_t>& stored, int code) {
  const int n_segments = static_cast<int>(stored.size()) / kSegmentEntries;
  uint8_t sum = 0;
  for (int s = 0; s < n_segments; ++s) {
    int index = code;
    if (s < plain_segment(n_segments)) index = std::min(code + index_bias(s), 255);
    if (s > plain_segment(n_segments)) index = (code + index_bias(s)) % 256;
    if (index < 128) sum = static_cast<uint8_t>(sum + stored[s * kSegmentEntries + index % kSegmentEntries]);
  }
  return sum;
}

TEST(LutSegments, SumsOfDifferencesAreTheEntries) {
  std::mt19937_64 rng(3);
  for (int64_t n_entries = 2; n_entries <= 256; ++n_entries) {
    std::vector<uint8_t> table(lut_segments(n_entries) * kSegmentEntries);
    for (int64_t code = 0; code < n_entries; ++code) table[code] = static_cast<uint8_t>(rng());
    std::vector<uint8_t> stored = table;
    store_differences(stored.data(), lut_segments(n_entries));
    for (int code = 0; code < n_entries; ++code) {
      ASSERT_EQ(look_up(stored, code), table[code]) << n_entries << ", " << code;
    }
    EXPECT_EQ(stored == table, n_entries <= 16) << "one segment is stored as it is";
  }
}

TEST(LutGroups, PackAsTightlyAsBytesAllow) {
  EXPECT_EQ(group_codebooks(ranges_of({255, 255})).size(), 2u);
  EXPECT_EQ(group_codebooks(ranges_of({128, 127})).size(), 1u) << "128 + 127 = 255 just fits";
  EXPECT_EQ(group_codebooks(ranges_of({128, 128})).size(), 2u) << "128 + 128 = 256 does not";
  EXPECT_EQ(group_codebooks(ranges_of({200, 100, 55, 155})).size(), 2u);
  EXPECT_EQ(group_codebooks(ranges_of(std::vector<uint8_t>(51, 5))).size(), 1u);
}

TEST(LutGroups, ProofRefusesWhatCouldOverflow) {
  const EntryRanges ranges = ranges_of({128, 128, 1});
  EXPECT_NO_THROW(prove_no_overflow(ranges, {{0, 2}, {1}}));
  EXPECT_THROW(prove_no_overflow(ranges, {{0, 1}, {2}}), InternalError) << "256 in a byte";
  EXPECT_THROW(prove_no_overflow(ranges, {{0}, {1}}), InternalError) << "codebook 2 is missing";
  EXPECT_THROW(prove_no_overflow(ranges, {{0}, {1, 2}, {2}}), InternalError) << "codebook 2 is there twice";
  EXPECT_THROW(prove_no_overflow(ranges, {{0}, {1, 2, 3}}), InternalError) << "there is no codebook 3";
  EXPECT_THROW(prove_no_overflow(ranges, {{0}, {1, 2, -1}}), InternalError) << "nor a codebook -1";
}

TEST(LutGroups, HoldForRandomModels) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto tables = static_cast<testing::Entries>(seed % 3);
    const Model model = testing::random_model(
        seed, {4, 1 + static_cast<int64_t>(seed % 7), 1 + static_cast<int64_t>(seed * 5), 2}, tables);
    const EntryRanges ranges = entry_ranges(model.tables());
    EXPECT_NO_THROW(prove_no_overflow(ranges, group_codebooks(ranges)));
  }
}

// Sums of one block of 32 rows: codebook c's code is 1 in row r if a random bit is, and the tables hold `entries`.
void expect_exact_sums(const std::vector<uint8_t>& entries) {
  const auto n_codebooks = static_cast<int64_t>(entries.size() / 2);
  const Model model(GivenCodes{n_codebooks, 2},
                    Tables({.n_codebooks = n_codebooks, .n_entries = 2, .lut = entries, .scale = {1}, .offset = {0}}));
  Schedule schedule = choose_schedule(model, kTarget);
  schedule.groups.clear();
  for (int c = 0; c < n_codebooks; ++c) schedule.groups.push_back({c});
  schedule.scan.table_blocks = 1;
  constexpr int kRows = 32;
  std::mt19937_64 rng(n_codebooks);
  std::vector<uint8_t> codes(kRows * n_codebooks);
  int32_t expected[kRows] = {}, sums[kRows];
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < n_codebooks; ++c) {
      const auto code = static_cast<uint8_t>(rng() >> 63);
      codes[r * n_codebooks + c] = code;
      expected[r] += entries[2 * c + code];
    }
  }
  const Executable executable(model, Activation::kNone, Backend::kInterpreter, kTarget, schedule);
  executable.executor.sums(Rows::codes(row_major<const uint8_t>(codes.data(), kRows, n_codebooks)),
                           col_major(sums, kRows, 1));
  for (int r = 0; r < kRows; ++r) ASSERT_EQ(sums[r], expected[r]) << n_codebooks << " groups, row " << r;
}

TEST(GroupSums, AreExactForAnyTables) {
  std::mt19937_64 rng(7);
  const auto any = [&](int) { return static_cast<uint8_t>(rng()); };
  const auto low_bit = [&](int) { return static_cast<uint8_t>(rng() >> 63); };
  const auto high_bit = [&](int) { return static_cast<uint8_t>(255 - (rng() >> 63)); };
  const std::function<uint8_t(int)> tables[] = {
      [](int) { return uint8_t{255}; },
      [](int) { return uint8_t{0}; },
      [](int c) { return static_cast<uint8_t>(c % 2 * 255); },
      any,
      low_bit,
      high_bit,
  };
  for (const int n_groups : {1, 2, 3, 5, 8, 31, 64, 100, 255, 256}) {
    for (const auto& entry : tables) {
      std::vector<uint8_t> entries;
      for (int i = 0; i < 2 * n_groups; ++i) entries.push_back(entry(i / 2));
      expect_exact_sums(entries);
    }
  }
}

// One output for every pair of a scale and an offset, three codebooks; row r's codes are those of leaf r % 2.
void expect_reference_outputs(const std::vector<float>& scales, const std::vector<float>& offsets, bool biased) {
  const auto n_outputs = static_cast<int64_t>(scales.size());
  testing::ModelArrays a{.n_features = 1,
                         .n_outputs = n_outputs,
                         .n_codebooks = 3,
                         .depth = 1,
                         .split_dims = {0, 0, 0},
                         .thresholds = {0, 0, 0},
                         .lut = {},
                         .scale = scales,
                         .offset = offsets};
  for (const uint8_t entry : {0, 255, 0, 3, 0, 77}) a.lut.insert(a.lut.end(), n_outputs, entry);
  const Model model(a);
  const LoweredModel lowered = lower(model, choose_schedule(model, kTarget), kTarget);
  const std::vector<Op> ops = lower_routine({RoutineKind::kScanToColumns}, lowered).ops;
  const auto fused = [](const Op& op) { return op.code == Opcode::mul_sub_f32; };
  EXPECT_EQ(std::any_of(ops.begin(), ops.end(), fused), biased) << scales[0] << ", " << offsets[0];

  constexpr int64_t kRows = 64;
  std::vector<float> input(kRows), expected(kRows * n_outputs), got(kRows * n_outputs);
  for (int64_t r = 0; r < kRows; ++r) input[r] = r % 2 == 0 ? -1.0f : 1.0f;
  const auto x = row_major(input.data(), kRows, 1);
  reference(model, x, col_major(expected.data(), kRows, n_outputs));
  for (const Backend backend : {Backend::kInterpreter, Backend::kJit}) {
    if (backend == Backend::kJit && !host_runs(kTarget.isa)) continue;
    const Executable executable(model, Activation::kNone, backend, kTarget, lowered.schedule);
    executable.executor.outputs(x, col_major(got.data(), kRows, n_outputs));
    EXPECT_EQ(std::memcmp(got.data(), expected.data(), 4 * got.size()), 0) << scales[0] << ", " << offsets[0];
  }
}

TEST(Epilogue, ProductsAreThoseOfTheSumsWhereverTheyAreBiased) {
  constexpr float kLeast = std::numeric_limits<float>::denorm_min(), kLargest = std::numeric_limits<float>::max();
  std::mt19937_64 rng(5);
  std::vector<float> scales, offsets;
  for (int i = 0; i < 100; ++i) {
    scales.push_back(
        std::ldexp(static_cast<float>(static_cast<int32_t>(rng() >> 32)), static_cast<int>(rng() % 160) - 100));
    offsets.push_back(std::ldexp(scales.back(), static_cast<int>(rng() % 20)));
  }
  expect_reference_outputs(scales, offsets, true);
  expect_reference_outputs({kLeast, -kLeast, 0.3f * std::ldexp(1.0f, -126), 0.0f}, {0, 0, -0.0f, -0.0f}, true);
  expect_reference_outputs({kLargest / kFloatBias, -kLargest / kFloatBias}, {1, 1}, true);
  expect_reference_outputs({kLargest / 4e6f}, {1}, false);
  expect_reference_outputs({1, -kLargest}, {1, 1}, false);
  for (const float scale : {-1.0f, -0.0f, -kLeast}) {
    expect_reference_outputs({1, scale}, {1, 0.0f}, true);
    expect_reference_outputs({1, scale}, {1, -0.0f}, false);
  }
}

}  // namespace
}  // namespace mithral::codegen
