#include "codegen/scan/lut_segments.h"

#include <algorithm>

#include "codegen/model/multiples.h"

namespace mithral::codegen {
namespace {

constexpr int kReach = 8;  // segments whose codes one index keeps below 128

}  // namespace

int lut_segments(int64_t n_entries) { return static_cast<int>(divide_up(n_entries, kSegmentEntries)); }

int plain_segment(int n_segments) { return std::min(n_segments, kReach) - 1; }

uint8_t index_bias(int segment) { return static_cast<uint8_t>(kSegmentEntries * (kReach - 1 - segment)); }

// Ascending, so that what is read has not been replaced yet.
void store_differences(uint8_t* table, int n_segments) {
  const int n_entries = n_segments * kSegmentEntries;
  const auto entry = [&](int i) { return i < n_entries ? table[i] : 0; };
  for (int i = 0; i < n_entries; ++i) {
    const int far = i + kReach * kSegmentEntries;
    table[i] = static_cast<uint8_t>(entry(i) - entry(i + kSegmentEntries) + entry(far) - entry(far + kSegmentEntries));
  }
}

}  // namespace mithral::codegen
