// Columns -> codes. Codebook by codebook (or two of them) over all blocks of the chunk, so that the trees' thresholds
// stay in registers and few columns are streamed at a time.
#include "codegen/encode/trees/lower_trees.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "codegen/encode/code_writer.h"
#include "codegen/encode/column_pointer.h"
#include "codegen/encode/load_input.h"
#include "codegen/encode/trees/select_thresholds.h"
#include "codegen/model/error.h"
#include "codegen/program/bytes.h"
#include "codegen/program/program_builder.h"

namespace mithral::codegen {
namespace {

constexpr int kBytesOfLane = CodeLayout::kBytesOfLane;

class EncodeLowering {
 public:
  EncodeLowering(const TreeStructure& trees, const CodeLayout& layout, const Target& target, InputType type)
      : trees_(trees), layout_(layout), target_(target), type_(type), b_({RoutineKind::kEncode, type}, target) {}

  Program run() {
    zero_ = b_.zero();
    if (descends_by_mask()) minus_one_ = b_.broadcast_value("minus one", 0xffffffff);
    writer_.emplace(b_, layout_, zero_);
    if (layout_.packing == CodeLayout::Packing::kFourRows) {
      for (int c = 0; c < n_codebooks(); ++c) lower_codebook(c);
    } else {
      for (int c = 0; c < n_codebooks(); c += 2) lower_codebook_pair(c);
    }
    return b_.finish();
  }

 private:
  // A level made ready for the loop over blocks.
  struct Level {
    TreeLevel::Kind kind;
    Preg column = kNoPreg;
    Slots slots = {};                    // of kTable
    ConstantId threshold = kNoConstant;  // of kUniform
    std::optional<Vreg> held = {};       // the thresholds in a register, unless they are read where they are needed
  };
  using Tree = std::vector<Level>;

  // One tree over one vector of rows, `first_row` bytes into its columns.
  struct Descent {
    const Tree* tree;
    int64_t first_row;
  };

  // Bytes of a column that are a vector of rows.
  int64_t vector_of_rows() const { return int64_t{target_.lanes()} * element_bytes(type_); }

  // Whether a level is one operation, which compares with memory.
  bool descends_by_mask() const { return target_.has(Feature::kMasks) && type_ == InputType::kFloat32; }

  int n_codebooks() const { return static_cast<int>(trees_.trees.size()); }

  // kFourRows: a block is four vectors of rows.
  void lower_codebook(int codebook) {
    b_.note("codebook " + std::to_string(codebook));
    const Tree tree = prepare(codebook, kBytesOfLane);
    const Preg codes = b_.add_imm(b_.arg(EncodeArguments::Index::codes), layout_.offset(0, codebook));
    std::vector<Descent> descents;
    for (int group = 0; group < kBytesOfLane; ++group) descents.push_back({&tree, group * vector_of_rows()});

    b_.repeat(b_.arg(EncodeArguments::Index::n_blocks), [&] {
      writer_->write_block(codes, descend(descents));
      for (const Level& level : tree) {
        if (level.column != kNoPreg) b_.advance(level.column, kBytesOfLane * vector_of_rows());
      }
      b_.advance(codes, layout_.block_bytes());
    });
  }

  // kFourCodebooks: a block is one vector of rows. Two trees at a time, because the columns of four would take more
  // pointers than there are.
  void lower_codebook_pair(int codebook) {
    const int count = std::min(2, n_codebooks() - codebook);
    b_.note("codebooks " + std::to_string(codebook) + " to " + std::to_string(codebook + count - 1));
    const Preg codes =
        b_.add_imm(b_.arg(EncodeArguments::Index::codes), layout_.offset(0, codebook - codebook % kBytesOfLane));
    row_ = b_.set(0);
    std::vector<Tree> trees;
    std::vector<Descent> descents;
    for (int i = 0; i < count; ++i) trees.push_back(prepare(codebook + i, count));
    for (const Tree& tree : trees) descents.push_back({&tree, 0});

    b_.repeat(b_.arg(EncodeArguments::Index::n_blocks), [&] {
      writer_->write_pair(codes, codebook, descend(descents));
      b_.advance(row_, vector_of_rows());
      b_.advance(codes, layout_.block_bytes());
    });
  }

  // A tree's levels, for a loop that follows `n_descents` at once.
  Tree prepare(int codebook, int n_descents) {
    const std::vector<TreeLevel>& levels = trees_.trees[codebook];
    const int n_held = n_held_levels(levels.size(), n_descents);
    Tree tree;
    for (const TreeLevel& level : levels) tree.push_back(prepare(level, static_cast<int>(tree.size()) < n_held));
    return tree;
  }

  Level prepare(const TreeLevel& level, bool hold) {
    if (level.kind == TreeLevel::Kind::kDead) return {level.kind};
    Level result{level.kind, column_pointer(b_, level.column)};
    if (level.kind == TreeLevel::Kind::kUniform) {
      result.threshold = b_.constant("threshold", kFloatBytes, bytes_of(level.thresholds));
      if (hold) result.held = b_.broadcast_32(at(result.threshold));
      return result;
    }
    result.slots = arrange_slots(b_, level, target_);
    if (hold) result.held = load_slots(b_, result.slots);
    return result;
  }

  // Levels whose thresholds one permutation reaches, as far as there are registers for them beside the node numbers and
  // what the deepest level's selection takes. Two trees share the registers.
  int n_held_levels(size_t depth, int n_descents) const {
    const int reached = std::countr_zero(permuted_slots(target_)) + 1;
    const int selection = ThresholdSelection::n_registers(size_t{1} << (depth - 1), target_);
    constexpr int kShared = 3;  // zero, minus one, biases
    const int values = type_ == InputType::kFloat32 ? 0 : registers_to_load(target_, type_);
    const int shared = (target_.has(Feature::kMasks) ? kShared : 1) + values;
    const int n_trees = layout_.packing == CodeLayout::Packing::kFourRows ? 1 : 2;
    return std::clamp((target_.n_vector_regs - shared - n_descents - selection) / n_trees, 0, reached);
  }

  // Level by level, the descents in turn: they are independent, which hides latencies. A compare yields -1 where the
  // row goes right, so with node numbers kept negated a level is n = n + n + mask.
  std::vector<Vreg> descend(const std::vector<Descent>& descents) {
    std::vector<std::optional<Vreg>> nodes(descents.size());  // none: still at the root's leftmost path, node 0
    for (size_t level = 0; level < descents[0].tree->size(); ++level) {
      for (size_t i = 0; i < descents.size(); ++i) step((*descents[i].tree)[level], descents[i].first_row, nodes[i]);
    }
    std::vector<Vreg> result;
    for (const std::optional<Vreg>& node : nodes) result.push_back(node.value_or(zero_));
    return result;
  }

  void step(const Level& level, int64_t first_row, std::optional<Vreg>& node) {
    if (level.kind == TreeLevel::Kind::kDead) {
      if (node) b_.add_u32_to(*node, *node, *node);
      return;
    }
    ensure(node || level.kind == TreeLevel::Kind::kUniform, "a row without a node number is at node 0");
    const Vreg limit = select_threshold(level, node);
    const Mem x = row_ == kNoPreg ? at(level.column, first_row) : at(level.column, row_, first_row);
    if (node && descends_by_mask()) {
      b_.descend_to(*node, *node, limit, minus_one_, x);
      return;
    }
    const Vreg goes_right = less_than_input(limit, x);
    if (node) {
      b_.add_u32_to(*node, *node, *node);
      b_.add_u32_to(*node, *node, goes_right);
    } else {
      node = goes_right;
    }
  }

  Vreg less_than_input(Vreg limit, const Mem& x) {
    if (type_ == InputType::kFloat32) return b_.less_f32(limit, x);
    return b_.less_f32_r(limit, load_as_f32(b_, target_, type_, x));
  }

  Vreg select_threshold(const Level& level, std::optional<Vreg> negated_nodes) {
    if (level.kind == TreeLevel::Kind::kUniform) return level.held ? *level.held : b_.broadcast_32(at(level.threshold));
    return ThresholdSelection(b_, target_, level.slots, *negated_nodes).run(level.held);
  }

  const TreeStructure& trees_;
  const CodeLayout& layout_;
  const Target& target_;
  InputType type_;
  ProgramBuilder b_;
  Preg row_ = kNoPreg;  // byte offset of the block's rows in their columns, where pointers do not advance
  std::optional<CodeWriter> writer_;
  Vreg zero_{}, minus_one_{};
};

}  // namespace

Program lower_trees(const TreeStructure& trees, const CodeLayout& layout, const Target& target, InputType type) {
  return EncodeLowering(trees, layout, target, type).run();
}

}  // namespace mithral::codegen
