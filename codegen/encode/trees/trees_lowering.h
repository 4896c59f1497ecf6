// Hash trees as an encoder that is lowered.
#pragma once

#include "codegen/encode/encoder_lowering.h"
#include "codegen/encode/trees/tree_structure.h"

namespace mithral::codegen {

// Instructions of a tree of so many levels, all of whose splits differ, per vector of rows.
double tree_instructions(int64_t depth, const Target& target);

class TreesLowering : public EncoderLowering {
 public:
  TreesLowering(const HashTrees& trees, const std::vector<int32_t>& others)
      : TreesLowering(analyse_trees(trees, others)) {}
  explicit TreesLowering(TreeStructure trees) : trees_(std::move(trees)) {}

  bool is_given() const override { return false; }
  const std::vector<int32_t>& columns() const override { return trees_.columns; }
  bool reads(InputType) const override { return true; }
  double instructions(const Target& target) const override;
  std::string words() const override;
  Program lower(const CodeLayout& layout, const Target& target, InputType type) const override;

 private:
  TreeStructure trees_;
};

}  // namespace mithral::codegen
