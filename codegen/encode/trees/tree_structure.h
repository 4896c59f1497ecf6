// Hash trees without what has no effect: which levels can still tell rows apart, which of their thresholds can be
// reached, and which input columns are read at all.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/model/hash_trees.h"

namespace mithral::codegen {

struct TreeLevel {
  enum class Kind {
    kDead,     // no reachable node splits: every row goes left, the column is not read
    kUniform,  // all reachable nodes share one threshold: no look-up by node
    kTable,    // the threshold depends on the node
  };
  Kind kind = Kind::kDead;
  int column = -1;                // index into TreeStructure::columns
  std::vector<float> thresholds;  // one per node of the level; only thresholds[0] for kUniform
  std::vector<bool> reachable;    // kTable: which of these nodes some row can get to
};

struct TreeStructure {
  std::vector<int32_t> columns;               // the input columns that are read, ascending
  std::vector<std::vector<TreeLevel>> trees;  // [codebook][level]
  size_t depth;
};

// `others` are columns that are read besides those of the levels.
TreeStructure analyse_trees(const HashTrees& trees, const std::vector<int32_t>& others = {});

}  // namespace mithral::codegen
