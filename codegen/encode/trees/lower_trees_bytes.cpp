#include "codegen/encode/trees/lower_trees_bytes.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "codegen/encode/code_writer.h"
#include "codegen/encode/column_pointer.h"
#include "codegen/program/bytes.h"
#include "codegen/program/program_builder.h"

namespace mithral::codegen {
namespace {

constexpr size_t kLookupEntries = 16;
constexpr int8_t kLeast = -128;

// A threshold for bytes that compare as signed ones: rows below the limit go left. No limit is above all bytes; where
// every row goes left, none is below the limit, and `all_left` says so instead.
struct ByteLimit {
  int8_t limit = kLeast;
  bool all_left = false;
};

// x <= t is x < floor(t) + 1. Unsigned bytes are compared less 128.
ByteLimit limit_of(float threshold, InputType type) {
  const double limit = std::floor(double{threshold}) + 1 - (type == InputType::kUint8 ? 128 : 0);
  if (limit > 127) return {.all_left = true};
  return {.limit = static_cast<int8_t>(std::max(limit, double{kLeast}))};
}

class EncodeBytesLowering {
 public:
  EncodeBytesLowering(const TreeStructure& trees, const CodeLayout& layout, const Target& target, InputType type)
      : trees_(trees), layout_(layout), target_(target), type_(type), b_({RoutineKind::kEncode, type}, target) {}

  Program run() {
    const size_t depth = trees_.depth;
    zero_ = b_.zero();
    last_leaf_ = broadcast("last leaf", static_cast<uint8_t>((1u << depth) - 1));
    if (type_ == InputType::kUint8) signs_ = broadcast("sign bits", 0x80);
    order_.emplace(b_, target_);
    for (size_t c = 0; c < trees_.trees.size(); ++c) lower_codebook(static_cast<int>(c));
    return b_.finish();
  }

 private:
  // Bytes by node; read from memory where there are not enough registers, and without a look-up where all are equal.
  struct Table {
    ConstantId constant = kNoConstant;
    std::optional<Vreg> held = {};
    bool one_value = false;
  };

  // A level made ready for the loop over blocks.
  struct Level {
    bool compares = false;       // or else every row goes left
    Preg column = kNoPreg;       // if it compares
    Table limits = {};           // if it compares
    bool some_all_left = false;  // nodes where every row goes left: children, not doubling, is what follows
    Table children = {};
  };

  // Rows carry how many nodes of the level are to the right of theirs: with that, going left adds one, and a limit that
  // is above the row's byte, which may be in memory, is a single compare.
  void lower_codebook(int codebook) {
    b_.note("codebook " + std::to_string(codebook));
    n_free_ = target_.n_vector_regs - kRegistersOfAll - kRegistersOfLoop;
    std::vector<Level> levels;
    for (const TreeLevel& level : trees_.trees[codebook]) levels.push_back(prepare(level, levels.size()));
    const Preg codes = b_.add_imm(b_.arg(EncodeArguments::Index::codes), layout_.offset(0, codebook));
    const Preg row = b_.set(0);
    b_.repeat(b_.arg(EncodeArguments::Index::n_blocks), [&] {
      std::optional<Vreg> nodes;
      for (const Level& level : levels) nodes = step(level, nodes, row);
      b_.store(at(codes), b_.sub_u8(last_leaf_, order_->in_code_order(nodes.value_or(zero_))));
      b_.advance(row, layout_.block_rows());
      b_.advance(codes, layout_.block_bytes());
    });
  }

  Level prepare(const TreeLevel& level, size_t depth) {
    const size_t n_nodes = size_t{1} << depth;
    std::vector<int8_t> limits(kLookupEntries, kLeast);
    std::vector<uint8_t> children(kLookupEntries);
    Level result;
    for (size_t i = 0; i < n_nodes; ++i) {
      const size_t node = n_nodes - 1 - i;
      if (!is_reachable(level, node)) continue;
      const bool dead = level.kind == TreeLevel::Kind::kDead;
      const ByteLimit limit = dead ? ByteLimit{.all_left = true} : limit_of(threshold(level, node), type_);
      limits[i] = limit.limit;
      children[i] = static_cast<uint8_t>(2 * i + (limit.all_left ? 1 : 0));
      result.some_all_left |= limit.all_left;
      result.compares |= !limit.all_left;
    }
    if (result.compares) {
      result.column = column_pointer(b_, level.column);
      result.limits = table("limits", limits, level.kind == TreeLevel::Kind::kUniform);
    }
    if (result.some_all_left) result.children = table("children", children, depth == 0);
    return result;
  }

  static bool is_reachable(const TreeLevel& level, size_t node) {
    return level.kind != TreeLevel::Kind::kTable || level.reachable[node];
  }
  static float threshold(const TreeLevel& level, size_t node) {
    return level.thresholds[level.kind == TreeLevel::Kind::kTable ? node : 0];
  }

  template <typename T>
  Table table(const char* name, std::vector<T> values, bool one_value) {
    if (one_value) values.assign(values.size(), values[0]);
    Table result{b_.constant(name, kLookupEntries, bytes_of(values)), {}, one_value};
    if (n_free_-- > 0) result.held = b_.broadcast_128(at(result.constant));
    return result;
  }

  Vreg look_up(const Table& table, std::optional<Vreg> nodes) {
    const Vreg values = table.held ? *table.held : b_.broadcast_128(at(table.constant));
    return table.one_value ? values : b_.lookup_16_by(values, nodes.value_or(zero_));
  }

  Vreg step(const Level& level, std::optional<Vreg> nodes, Preg row) {
    const Vreg stay = level.some_all_left ? look_up(level.children, nodes) : nodes ? b_.add_u8(*nodes, *nodes) : zero_;
    if (!level.compares) return stay;
    const Mem x = at(level.column, row, 0);
    const Vreg limits = look_up(level.limits, nodes);
    const Vreg goes_left = type_ == InputType::kUint8 ? b_.greater_i8(limits, b_.add_u8_m(signs_, x))  //
                                                      : b_.greater_i8_m(limits, x);
    return b_.sub_u8(stay, goes_left);
  }

  Vreg broadcast(const char* name, uint8_t value) { return b_.broadcast_value(name, value * 0x01010101u); }

  static constexpr int kRegistersOfAll = 3 + ByteCodeOrder::kRegisters;  // zero, last leaf, signs
  static constexpr int kRegistersOfLoop = 4;                             // nodes, their children, limits, a table

  const TreeStructure& trees_;
  const CodeLayout& layout_;
  const Target& target_;
  InputType type_;
  ProgramBuilder b_;
  int n_free_ = 0;  // registers left for a codebook's tables
  std::optional<ByteCodeOrder> order_;
  Vreg zero_{}, last_leaf_{}, signs_{};
};

}  // namespace

bool encodes_bytes(const TreeStructure& trees, const CodeLayout& layout, InputType type) {
  constexpr size_t kDeepest = 5;
  return (type == InputType::kInt8 || type == InputType::kUint8) && trees.depth <= kDeepest &&
         layout.packing == CodeLayout::Packing::kFourRows;
}

Program lower_trees_bytes(const TreeStructure& trees, const CodeLayout& layout, const Target& target, InputType type) {
  return EncodeBytesLowering(trees, layout, target, type).run();
}

}  // namespace mithral::codegen
