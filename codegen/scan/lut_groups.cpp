#include "codegen/scan/lut_groups.h"

#include <algorithm>
#include <numeric>

#include "codegen/model/error.h"

namespace mithral::codegen {
namespace {

constexpr int kByteMax = 255;
constexpr int kWordMax = 65535;

struct OpenGroup {
  std::vector<int> codebooks;
  std::vector<uint8_t> sums;  // per output: the largest sum so far
};

// Outputs in runs that the compiler turns into vectors: the first run that overflows ends the search.
bool fits(const OpenGroup& group, const uint8_t* largest) {
  constexpr size_t kRun = 256;
  for (size_t begin = 0; begin < group.sums.size(); begin += kRun) {
    const size_t end = std::min(begin + kRun, group.sums.size());
    bool overflows = false;
    for (size_t m = begin; m < end; ++m) overflows |= largest[m] > kByteMax - group.sums[m];
    if (overflows) return false;
  }
  return true;
}

// Loops over a codebook's outputs, apart from the vectors that hold them: so the compiler makes vectors of them.
uint8_t peak_of(const uint8_t* largest, int64_t n_outputs) {
  uint8_t peak = 0;
  for (int64_t m = 0; m < n_outputs; ++m) peak = std::max(peak, largest[m]);
  return peak;
}

void add_to(uint8_t* sums, const uint8_t* largest, int64_t n_outputs) {
  for (int64_t m = 0; m < n_outputs; ++m) sums[m] += largest[m];
}

}  // namespace

LutGroups group_codebooks(const EntryRanges& ranges) {
  const int64_t n_outputs = ranges.n_outputs;
  std::vector<int> peak(ranges.n_codebooks);
  for (int64_t c = 0; c < ranges.n_codebooks; ++c) peak[c] = peak_of(ranges.of(c), n_outputs);
  std::vector<int> order(ranges.n_codebooks);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&peak](int x, int y) { return peak[x] > peak[y]; });

  std::vector<OpenGroup> open;
  for (const int c : order) {
    auto group = std::find_if(open.begin(), open.end(), [&](const OpenGroup& g) { return fits(g, ranges.of(c)); });
    if (group == open.end()) group = open.insert(open.end(), {{}, std::vector<uint8_t>(n_outputs)});
    group->codebooks.push_back(c);
    add_to(group->sums.data(), ranges.of(c), n_outputs);
  }

  LutGroups groups;
  for (OpenGroup& group : open) groups.push_back(std::move(group.codebooks));
  return groups;
}

void prove_no_overflow(const EntryRanges& ranges, const LutGroups& groups) {
  std::vector<int> times_used(ranges.n_codebooks);
  std::vector<int> totals(ranges.n_outputs);
  for (const std::vector<int>& group : groups) {
    std::vector<int> sums(ranges.n_outputs);
    for (const int c : group) {
      ensure(c >= 0 && c < ranges.n_codebooks, "a group has a codebook that there is not");
      ++times_used[c];
      for (size_t m = 0; m < sums.size(); ++m) sums[m] += ranges.of(c)[m];
    }
    for (size_t m = 0; m < sums.size(); ++m) totals[m] += sums[m];
    ensure(*std::max_element(sums.begin(), sums.end()) <= kByteMax, "a group of codebooks overflows a byte");
  }
  for (const int count : times_used) ensure(count == 1, "a codebook is not in exactly one group");
  ensure(*std::max_element(totals.begin(), totals.end()) <= kWordMax, "the sum of all codebooks overflows 16 bits");
}

}  // namespace mithral::codegen
