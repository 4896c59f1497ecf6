#include "codegen/scan/word_sums.h"

#include <algorithm>
#include <bit>
#include <optional>

namespace mithral::codegen {
namespace {

// Levels of the tree over n_groups averages.
int tree_levels(int n_groups) { return std::bit_width(static_cast<unsigned>(n_groups - 1)); }

class PairSums : public WordSums {
 public:
  explicit PairSums(ProgramBuilder& b) : b_(b), odd_bytes_(b.broadcast_value("odd bytes", 0x01000100)) {}

  void add(const std::vector<Vreg>& bytes) override {
    const bool first = pairs_.empty();
    for (size_t block = 0; block < bytes.size(); ++block) {
      const Vreg odd = b_.dot_u8_u16(bytes[block], odd_bytes_);
      if (first) {
        pairs_.push_back(bytes[block]);
        odds_.push_back(odd);
      } else {
        b_.add_u16_to(pairs_[block], pairs_[block], bytes[block]);
        b_.add_u16_to(odds_[block], odds_[block], odd);
      }
    }
  }

  Words words(int block) override { return {b_.sub_u16(pairs_[block], b_.shl_u16(odds_[block], 8)), odds_[block]}; }

 private:
  ProgramBuilder& b_;
  Vreg odd_bytes_;
  std::vector<Vreg> pairs_, odds_;  // per block
};

class AverageSums : public WordSums {
 public:
  AverageSums(ProgramBuilder& b, int n_groups, int blocks)
      : b_(b), levels_(tree_levels(n_groups)), groups_left_(n_groups), blocks_(blocks) {
    ensure(n_groups <= kMaxAveragedGroups, "an average of so many groups is not exact enough");
  }

  void add(const std::vector<Vreg>& bytes) override {
    for (size_t block = 0; block < bytes.size(); ++block) {
      Block& to = blocks_[block];
      add_low(to, bytes[block]);
      push(to, {bytes[block], 0});
    }
    if (--groups_left_ > 0) return;
    for (Block& block : blocks_) fill_up(block);  // now, before what follows the sums needs registers
  }

  Words words(int block) override {
    const Vreg average = blocks_[block].open.front().average;
    const Vreg excess = b_.sub_u8(b_.shl_u16(average, levels_), *blocks_[block].low);
    const Vreg odd = b_.sub_u16(b_.shr_u16(average, 8 - levels_), b_.shr_u16(excess, 8));
    const Vreg even = b_.sub_u16(b_.dot_u8_u16(average, even_times_n()), b_.and_bits(excess, even_bytes()));
    return {even, odd};
  }

 private:
  struct Node {
    Vreg average;
    int level;  // the average of 2^level groups
  };
  struct Block {
    std::optional<Vreg> first;  // group, until it is added to the second
    std::optional<Vreg> low;
    std::vector<Node> open;  // complete subtrees, levels descending
  };

  // The first group's register is also in the tree, so the sum takes another.
  void add_low(Block& to, Vreg bytes) {
    if (to.low) {
      b_.add_u8_to(*to.low, *to.low, bytes);
    } else if (to.first) {
      to.low = b_.add_u8(*to.first, bytes);
    } else {
      to.first = bytes;
    }
  }

  void push(Block& to, Node node) {
    while (!to.open.empty() && to.open.back().level == node.level) {
      node = {b_.avg_u8(to.open.back().average, node.average), node.level + 1};
      to.open.pop_back();
    }
    to.open.push_back(node);
  }

  // Adds zeros until only the root of the tree is open.
  void fill_up(Block& of) {
    while (of.open.back().level < levels_) {
      const Node last = of.open.back();
      of.open.pop_back();
      push(of, {b_.avg_u8(last.average, zero()), last.level + 1});
    }
  }

  Vreg zero() {
    if (!zero_) zero_ = b_.zero();
    return *zero_;
  }
  Vreg even_times_n() {
    if (!even_times_n_) even_times_n_ = b_.broadcast_value("groups", 0x00010001u << levels_);
    return *even_times_n_;
  }
  Vreg even_bytes() {
    if (!even_bytes_) even_bytes_ = b_.broadcast_value("even bytes", 0x00ff00ff);
    return *even_bytes_;
  }

  ProgramBuilder& b_;
  int levels_;
  int groups_left_;
  std::vector<Block> blocks_;
  std::optional<Vreg> zero_, even_times_n_, even_bytes_;  // once they are needed
};

}  // namespace

std::unique_ptr<WordSums> add_words(ProgramBuilder& b, GroupSums strategy, int n_groups, int blocks) {
  if (strategy == GroupSums::kAverages) return std::make_unique<AverageSums>(b, n_groups, blocks);
  return std::make_unique<PairSums>(b);
}

// A block holds its low bytes, an open average a level, and what is looked up and added to them. The table's register
// is free for the last block's look-up; but a group of several codebooks adds look-ups first, and then needs both, and
// a tree that is filled up with zeros needs one, while all its levels are open.
int registers_of_averages(const LutGroups& groups, int blocks) {
  const bool several = std::any_of(groups.begin(), groups.end(), [](const auto& group) { return group.size() > 1; });
  const bool filled_up = !std::has_single_bit(groups.size());
  return blocks * (tree_levels(static_cast<int>(groups.size())) + 2) + (several ? 2 : 0) + (filled_up ? 1 : 0);
}

}  // namespace mithral::codegen
