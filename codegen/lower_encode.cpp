// Columns -> codes. Codebook by codebook over all blocks of the chunk, so that a tree's thresholds stay in registers
// and few columns are streamed at a time.
#include <algorithm>
#include <bit>
#include <optional>

#include "codegen/bytes.h"
#include "codegen/error.h"
#include "codegen/lower.h"
#include "codegen/program_builder.h"

namespace mithral::codegen {
namespace {

constexpr int kGroups = 4;         // a block is four vectors of rows: one code byte of every lane each (layout.h)
constexpr size_t kPermuted = 8;    // thresholds that one permutation reaches
constexpr size_t kHeldLevels = 4;  // levels of at most so many; their thresholds stay in registers
constexpr int kFloatBytes = 4;

// A level's thresholds where the program finds them. Rows carry their node number negated (see lower_trees), so node i
// is in slot -i modulo the number of slots.
struct Slots {
  ConstantId constant = kNoConstant;
  std::vector<float> thresholds;
  std::vector<bool> reachable;

  size_t size() const { return thresholds.size(); }
};

Slots arrange(const TreeLevel& level) {
  const size_t nodes = level.thresholds.size(), slots = std::max<size_t>(nodes, 4);
  Slots result{kNoConstant, std::vector<float>(slots), std::vector<bool>(slots)};
  for (size_t node = 0; node < nodes; ++node) {
    result.thresholds[(slots - node) % slots] = level.thresholds[node];
    result.reachable[(slots - node) % slots] = level.reachable[node];
  }
  return result;
}

// The thresholds of a vector of rows at a level of more than eight nodes: every run of eight slots is permuted by the
// low three bits of the slot number, and the higher bits choose among the results.
//
//     slots   0..7   8..15   16..23   24..31
//                \   /            \   /            bit 3
//                  \_______________/               bit 4
//
// Depth first: then one result a height waits for its neighbour, more would not fit the registers. Runs that no row
// gets to are left out, and thresholds that are equal are not looked up.
class WideSelection {
 public:
  WideSelection(ProgramBuilder& b, const Slots& slots, Vreg negated_nodes)
      : b_(b), slots_(slots), negated_nodes_(negated_nodes) {}

  Vreg run() { return *among(0, slots_.size()); }  // some row gets to every level

 private:
  // Among `count` slots from `first` on; none if no row gets there.
  std::optional<Vreg> among(size_t first, size_t count) {
    const auto reachable = slots_.reachable.begin() + first;
    const size_t some = first + (std::find(reachable, reachable + count, true) - reachable);
    if (some == first + count) return {};
    if (all_equal(some, first + count)) return b_.broadcast_32(threshold_at(some));
    if (count == kPermuted) return b_.permute_8_m(negated_nodes_, threshold_at(first));
    const std::optional<Vreg> low = among(first, count / 2), high = among(first + count / 2, count / 2);
    if (!low || !high) return low ? low : high;
    return b_.blend_sign(*low, *high, bit_as_sign(count / 2));
  }

  bool all_equal(size_t first, size_t end) const {
    for (size_t slot = first; slot < end; ++slot) {
      if (slots_.reachable[slot] && slots_.thresholds[slot] != slots_.thresholds[first]) return false;
    }
    return true;
  }

  Mem threshold_at(size_t slot) const { return at(slots_.constant, static_cast<int64_t>(slot) * kFloatBytes); }

  // The lowest bit is needed as often as all others together: it is kept, they are made when they are needed.
  Vreg bit_as_sign(size_t value) {
    if (value == kPermuted && lowest_bit_) return *lowest_bit_;
    const Vreg sign = b_.shl_u32(negated_nodes_, std::countl_zero(static_cast<uint32_t>(value)));
    if (value == kPermuted) lowest_bit_ = sign;
    return sign;
  }

  ProgramBuilder& b_;
  const Slots& slots_;
  Vreg negated_nodes_;
  std::optional<Vreg> lowest_bit_;
};

class EncodeLowering {
 public:
  EncodeLowering(const TreeStructure& trees, const Target& target)
      : trees_(trees), target_(target), b_("encode", target, {"columns", "offsets", "n_blocks", "codes"}) {}

  Program run() {
    columns_ = b_.arg(0);
    offsets_ = b_.arg(1);
    n_blocks_ = b_.arg(2);
    codes_ = b_.arg(3);
    zero_ = b_.zero();
    for (size_t c = 0; c < trees_.trees.size(); ++c) lower_codebook(static_cast<int>(c));
    return b_.finish();
  }

 private:
  // A level made ready for the loop over blocks.
  struct Level {
    TreeLevel::Kind kind;
    Preg column = kNoPreg;
    Slots slots = {};               // of kUniform: one slot
    std::optional<Vreg> held = {};  // the thresholds in a register, unless they are read where they are needed
  };

  void lower_codebook(int codebook) {
    b_.note("codebook " + std::to_string(codebook));
    std::vector<Level> levels;
    for (const TreeLevel& level : trees_.trees[codebook]) levels.push_back(prepare(level, levels.size()));
    const Preg codes = b_.add_imm(codes_, int64_t{codebook} * target_.vector_bytes);

    b_.repeat(n_blocks_, [&] {
      b_.store(at(codes), pack(lower_trees(levels)));
      for (const Level& level : levels) {
        if (level.column != kNoPreg) b_.advance(level.column, kGroups * target_.vector_bytes);
      }
      b_.advance(codes, static_cast<int64_t>(trees_.trees.size()) * target_.vector_bytes);
    });
  }

  Preg column_pointer(int column) { return b_.add(b_.load_i64(at(offsets_, 8 * int64_t{column})), columns_); }

  Level prepare(const TreeLevel& level, size_t number) {
    if (level.kind == TreeLevel::Kind::kDead) return {level.kind};
    Level result{level.kind, column_pointer(level.column)};
    const bool is_held = number < kHeldLevels;
    if (level.kind == TreeLevel::Kind::kUniform) {
      result.slots.constant = b_.constant("threshold", kFloatBytes, bytes_of(level.thresholds));
      if (is_held) result.held = b_.broadcast_32(at(result.slots.constant));
      return result;
    }
    result.slots = arrange(level);
    const size_t permuted = std::min(result.slots.size(), kPermuted);
    result.slots.constant =
        b_.constant("thresholds", static_cast<int>(permuted) * kFloatBytes, bytes_of(result.slots.thresholds));
    const Mem thresholds = at(result.slots.constant);
    if (is_held) result.held = permuted == 4 ? b_.broadcast_128(thresholds) : b_.load(thresholds);
    return result;
  }

  // Four groups of rows through one tree, level by level; the groups are independent, which hides latencies. A compare
  // yields -1 where the row goes right, so with node numbers kept negated a level is n = n + n + mask.
  std::vector<Vreg> lower_trees(const std::vector<Level>& levels) {
    std::vector<std::optional<Vreg>> nodes(kGroups);  // none: still at the root's leftmost path, node 0
    for (const Level& level : levels) {
      for (int group = 0; group < kGroups; ++group) {
        std::optional<Vreg>& node = nodes[group];
        if (level.kind == TreeLevel::Kind::kDead) {
          if (node) b_.add_u32_to(*node, *node, *node);
          continue;
        }
        ensure(node || level.kind == TreeLevel::Kind::kUniform, "a row without a node number is at node 0");
        const Vreg limit = select_threshold(level, node);
        const Vreg goes_right = b_.less_f32(limit, at(level.column, group * target_.vector_bytes));
        if (node) {
          b_.add_u32_to(*node, *node, *node);
          b_.add_u32_to(*node, *node, goes_right);
        } else {
          node = goes_right;
        }
      }
    }
    std::vector<Vreg> result;
    for (const std::optional<Vreg>& node : nodes) result.push_back(node.value_or(zero_));
    return result;
  }

  Vreg select_threshold(const Level& level, std::optional<Vreg> negated_nodes) {
    if (level.kind == TreeLevel::Kind::kUniform) {
      return level.held ? *level.held : b_.broadcast_32(at(level.slots.constant));
    }
    if (!level.held) return WideSelection(b_, level.slots, *negated_nodes).run();
    return level.slots.size() <= 4 ? b_.permute_4(*level.held, *negated_nodes)
                                   : b_.permute_8(*level.held, *negated_nodes);
  }

  // Negated node numbers of four groups -> one code byte of every lane each. Sums of shifted negatives borrow from one
  // another, but modulo 2^32 such a sum is the negative of n0 + 2^8 n1 + 2^16 n2 + 2^24 n3. Node numbers are below 2^8,
  // so nothing carries in there, and negating the whole lane at the end leaves a byte of each.
  Vreg pack(const std::vector<Vreg>& negated_nodes) {
    Vreg packed = negated_nodes[kGroups - 1];
    for (int group = kGroups - 2; group >= 0; --group) {
      packed = b_.add_u32(b_.shl_u32(packed, 8), negated_nodes[group]);
    }
    return b_.sub_u32(zero_, packed);
  }

  const TreeStructure& trees_;
  const Target& target_;
  ProgramBuilder b_;
  Preg columns_{}, offsets_{}, n_blocks_{}, codes_{};
  Vreg zero_{};
};

}  // namespace

Program lower_encode(const TreeStructure& trees, const Target& target) { return EncodeLowering(trees, target).run(); }

}  // namespace mithral::codegen
