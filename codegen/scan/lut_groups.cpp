#include "codegen/scan/lut_groups.h"

#include <algorithm>
#include <numeric>

#include "codegen/model/error.h"

namespace mithral::codegen {
namespace {

constexpr int kByteMax = 255;
constexpr int kWordMax = 65535;

// Largest entry of one codebook, per output.
std::vector<int> largest_entries(const Model& model, int64_t codebook) {
  std::vector<int> largest(model.n_outputs());
  for (int64_t leaf = 0; leaf < model.n_leaves(); ++leaf) {
    for (int64_t m = 0; m < model.n_outputs(); ++m) {
      largest[m] = std::max<int>(largest[m], model.lut(codebook, leaf, m));
    }
  }
  return largest;
}

struct OpenGroup {
  std::vector<int> codebooks;
  std::vector<int> sums;  // per output: the largest sum so far
};

bool fits(const OpenGroup& group, const std::vector<int>& largest) {
  for (size_t m = 0; m < largest.size(); ++m) {
    if (group.sums[m] + largest[m] > kByteMax) return false;
  }
  return true;
}

}  // namespace

LutGroups group_codebooks(const Model& model) {
  const int n_codebooks = static_cast<int>(model.n_codebooks());
  std::vector<std::vector<int>> largest;
  std::vector<int> peak(n_codebooks);
  for (int c = 0; c < n_codebooks; ++c) {
    largest.push_back(largest_entries(model, c));
    peak[c] = *std::max_element(largest[c].begin(), largest[c].end());
  }
  std::vector<int> order(n_codebooks);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&peak](int x, int y) { return peak[x] > peak[y]; });

  std::vector<OpenGroup> open;
  for (const int c : order) {
    auto group = std::find_if(open.begin(), open.end(), [&](const OpenGroup& g) { return fits(g, largest[c]); });
    if (group == open.end()) group = open.insert(open.end(), {{}, std::vector<int>(model.n_outputs())});
    group->codebooks.push_back(c);
    for (size_t m = 0; m < group->sums.size(); ++m) group->sums[m] += largest[c][m];
  }

  LutGroups groups;
  for (OpenGroup& group : open) groups.push_back(std::move(group.codebooks));
  return groups;
}

void prove_no_overflow(const Model& model, const LutGroups& groups) {
  std::vector<int> times_used(model.n_codebooks());
  std::vector<int> totals(model.n_outputs());
  for (const std::vector<int>& group : groups) {
    std::vector<int> sums(model.n_outputs());
    for (const int c : group) {
      ++times_used.at(c);
      const std::vector<int> largest = largest_entries(model, c);
      for (size_t m = 0; m < sums.size(); ++m) sums[m] += largest[m];
    }
    for (size_t m = 0; m < sums.size(); ++m) {
      ensure(sums[m] <= kByteMax, "a group of codebooks overflows a byte");
      totals[m] += sums[m];
    }
  }
  for (const int count : times_used) ensure(count == 1, "a codebook is not in exactly one group");
  for (const int total : totals) ensure(total <= kWordMax, "the sum of all codebooks overflows 16 bits");
}

}  // namespace mithral::codegen
