#include "codegen/model/hash_trees.h"

#include <cmath>

#include "codegen/model/error.h"
#include "codegen/model/tables.h"

namespace mithral {
namespace {

void check(const TreeArrays& a) {
  check_range<BadModel>("n_features (D)", a.n_features, 1, HashTrees::kMaxFeatures);
  check_range<BadModel>("n_codebooks (C)", a.n_codebooks, 0, Tables::kMaxCodebooks);
  check_range<BadModel>("depth (L)", a.depth, 1, HashTrees::kMaxDepth);
  const int64_t nodes = (int64_t{1} << a.depth) - 1;
  check_length("split_dims", a.split_dims.size(), a.n_codebooks * a.depth, "(C, L)");
  check_length("thresholds", a.thresholds.size(), a.n_codebooks * nodes, "(C, 2**L - 1)");
  for (size_t i = 0; i < a.split_dims.size(); ++i) {
    if (a.split_dims[i] < 0 || a.split_dims[i] >= a.n_features) {
      throw BadModel(message("split_dims[", i / a.depth, ", ", i % a.depth, "] is ", a.split_dims[i],
                             "; allowed: 0 to ", a.n_features - 1, " (n_features - 1)"));
    }
  }
  for (size_t i = 0; i < a.thresholds.size(); ++i) {
    if (std::isnan(a.thresholds[i])) {
      throw BadModel(message("thresholds[", i / nodes, ", ", i % nodes,
                             "] is NaN; allowed: any number, or +inf where a node never splits"));
    }
  }
}

}  // namespace

HashTrees::HashTrees(TreeArrays arrays) {
  check(arrays);
  arrays_ = std::make_shared<const TreeArrays>(std::move(arrays));
}

}  // namespace mithral
