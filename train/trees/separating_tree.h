// Trees for data that was quantised before: rows with few distinct values in a group of columns.
#pragma once

#include <optional>
#include <span>

#include "train/trees/hash_tree.h"

namespace mithral::train_internal {

// A tree whose leaves tell all distinct rows of the columns apart, if there are at most 2^depth of them and one is
// found: every level's column is tried in turn, with the cuts that leave each side no more rows than leaves below it.
// (Such a tree need not exist: one column per level cannot tell the 16 unit vectors of 16 columns apart.)
std::optional<BinnedTree> find_separating_tree(const BinnedColumns& columns, std::span<const int32_t> candidates,
                                               int64_t depth);

}  // namespace mithral::train_internal
