// Columns -> codes. Codebook by codebook over all blocks of the chunk, so that a tree's thresholds stay in registers
// and few columns are streamed at a time.
#include <optional>

#include "codegen/bytes.h"
#include "codegen/error.h"
#include "codegen/lower.h"
#include "codegen/program_builder.h"

namespace mithral::codegen {
namespace {

constexpr int kGroups = 4;  // a block is four vectors of rows: one code byte of every lane each (layout.h)

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
  void lower_codebook(int codebook) {
    b_.note("codebook " + std::to_string(codebook));
    const std::vector<TreeLevel>& levels = trees_.trees[codebook];
    std::vector<Preg> columns;
    std::vector<Vreg> thresholds;
    for (const TreeLevel& level : levels) {
      columns.push_back(level.kind == TreeLevel::Kind::kDead ? kNoPreg : column_pointer(level.column));
      thresholds.push_back(load_thresholds(level));
    }
    const Preg codes = b_.add_imm(codes_, int64_t{codebook} * target_.vector_bytes);

    b_.repeat(n_blocks_, [&] {
      b_.store(at(codes), pack(lower_trees(levels, columns, thresholds)));
      for (const Preg column : columns) {
        if (column != kNoPreg) b_.advance(column, kGroups * target_.vector_bytes);
      }
      b_.advance(codes, static_cast<int64_t>(trees_.trees.size()) * target_.vector_bytes);
    });
  }

  Preg column_pointer(int column) { return b_.add(b_.load_i64(at(offsets_, 8 * int64_t{column})), columns_); }

  // Rows carry their node number negated (see lower_trees), so node i is found in slot -i modulo the table's size.
  Vreg load_thresholds(const TreeLevel& level) {
    if (level.kind == TreeLevel::Kind::kDead) return kNoVreg;
    if (level.kind == TreeLevel::Kind::kUniform)
      return b_.broadcast_32(at(b_.constant("threshold", 4, bytes_of(level.thresholds))));
    const size_t nodes = level.thresholds.size();
    const size_t slots = nodes <= 4 ? 4 : 8;
    ensure(nodes <= slots, "a level has more thresholds than a permutation reaches");
    std::vector<float> table(slots);
    for (size_t node = 0; node < nodes; ++node) table[(slots - node) % slots] = level.thresholds[node];
    const ConstantId constant = b_.constant("thresholds", static_cast<int>(4 * slots), bytes_of(table));
    return slots == 4 ? b_.broadcast_128(at(constant)) : b_.load(at(constant));
  }

  // Four groups of rows through one tree, level by level; the groups are independent, which hides latencies. A compare
  // yields -1 where the row goes right, so with node numbers kept negated a level is n = n + n + mask.
  std::vector<Vreg> lower_trees(const std::vector<TreeLevel>& levels, const std::vector<Preg>& columns,
                                const std::vector<Vreg>& thresholds) {
    std::vector<std::optional<Vreg>> nodes(kGroups);  // none: still at the root's leftmost path, node 0
    for (size_t level = 0; level < levels.size(); ++level) {
      for (int group = 0; group < kGroups; ++group) {
        std::optional<Vreg>& node = nodes[group];
        if (levels[level].kind == TreeLevel::Kind::kDead) {
          if (node) b_.add_u32_to(*node, *node, *node);
          continue;
        }
        ensure(node || levels[level].kind == TreeLevel::Kind::kUniform, "a row without a node number is at node 0");
        const Vreg limit = node ? select_threshold(levels[level], thresholds[level], *node) : thresholds[level];
        const Vreg goes_right = b_.less_f32(limit, at(columns[level], group * target_.vector_bytes));
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

  Vreg select_threshold(const TreeLevel& level, Vreg thresholds, Vreg negated_nodes) {
    if (level.kind == TreeLevel::Kind::kUniform) return thresholds;
    return level.thresholds.size() <= 4 ? b_.permute_4(thresholds, negated_nodes)
                                        : b_.permute_8(thresholds, negated_nodes);
  }

  // Negated node numbers of four groups -> one code byte of every lane each. Sums of shifted negatives borrow from one
  // another; negating the whole lane at the end undoes that exactly, modulo 2^32.
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
