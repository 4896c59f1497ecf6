// Byte sums of groups of codebooks (lut_groups.h) -> 16-bit sums over all groups, exact: two strategies.
//
// kPairs: modulo 2^16, add up the pairs of bytes (odd * 256 + even), and by themselves the odd bytes. Even sums are
// pairs - odd * 256. Three operations a group, two at the end; the odd bytes are taken out by a multiplication, because
// shifts wait for the ports that look up, on AMD's CPUs.
//
// kAverages: two inexact sums make an exact one. The byte sums of n = 2^k groups (zeros added if there are fewer)
// modulo 2^8 are the low byte of the sum S. Their average A through a binary tree of avg_u8 tells the rest, because it
// is a bit too large at most: on level l = 1..k of the tree, n / 2^l averages round up by at most 1/2, and each weighs
// 2^l in n * A. So all levels add at most n/2 each:
//
//     0 <= n * A - S <= k * n/2                         k <= 6: at most 192
//
// and that excess, e, is below 256: e = n * A - low modulo 2^8, S = n * A - e. Two operations a group, eight at the
// end, but a register a level: fewer blocks can share the load of a table.
//
// The words of the end: let a word hold the averages a0 + 256 * a1, low bytes l0 + 256 * l1. Shifted left by k, its low
// byte is n * a0 modulo 2^8; its high byte is n * a1 + g, where g = a0 >> (8 - k), at most n - 1, comes from below.
// Less the low bytes, as bytes, that is e0 and e1 + g, the latter still below 256: 192 + 63 = 255. Shifted right by 8 -
// k, the word is n * a1 + g. So g cancels out in S1 = (word >> (8 - k)) - (e1 + g).
#pragma once

#include <memory>
#include <vector>

#include "codegen/plan/schedule.h"
#include "codegen/program/program_builder.h"

namespace mithral::codegen {

inline constexpr int kMaxAveragedGroups = 64;

// 16-bit sums of a block's even and of its odd bytes.
struct Words {
  Vreg even, odd;
};

// Of all blocks of a tile.
class WordSums {
 public:
  virtual ~WordSums() = default;

  // Byte sums of the next group, one vector a block.
  virtual void add(const std::vector<Vreg>& bytes) = 0;

  // After the last group, once for every block.
  virtual Words words(int block) = 0;
};

// For n_groups >= 2 groups, which kAverages has at most kMaxAveragedGroups of.
std::unique_ptr<WordSums> add_words(ProgramBuilder& b, GroupSums strategy, int n_groups, int blocks);

// Vector registers that the look-ups and sums of a tile of so many blocks take with kAverages.
int registers_of_averages(const LutGroups& groups, int blocks);

}  // namespace mithral::codegen
