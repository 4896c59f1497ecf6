#include "train/quantize_model.h"

#include <algorithm>
#include <utility>

#include "train/evaluate.h"
#include "train/quantize_parts.h"

namespace mithral::train_internal {
namespace {

Model make_model(const LearnedParts& parts, QuantizedParts quantized, int64_t n_features, int64_t depth) {
  TreeArrays trees{.n_features = n_features,
                   .n_codebooks = std::ssize(parts.trees),
                   .depth = depth,
                   .split_dims = {},
                   .thresholds = {}};
  for (const HashTree& tree : parts.trees) {
    trees.split_dims.insert(trees.split_dims.end(), tree.split_dims.begin(), tree.split_dims.end());
    trees.thresholds.insert(trees.thresholds.end(), tree.thresholds.begin(), tree.thresholds.end());
  }
  TableArrays tables{.n_codebooks = std::ssize(parts.trees),
                     .n_entries = int64_t{1} << depth,
                     .lut = std::move(quantized.lut.lut),
                     .scale = std::move(quantized.lut.scale),
                     .offset = std::move(quantized.lut.offset)};
  LinearArrays linear{.n_features = n_features,
                      .n_outputs = std::ssize(tables.scale),
                      .shift = quantized.shift,
                      .dims = parts.linear.steps.dims,
                      .inverse_step = parts.linear.steps.inverse_step,
                      .zero = parts.linear.steps.zero,
                      .weights = std::move(quantized.weights),
                      .latents = parts.linear.steps.latents};
  return {HashTrees(std::move(trees)), Tables(std::move(tables)), LinearDims(std::move(linear))};
}

}  // namespace

ChosenWeights choose_weights(const LearnedParts& parts, const LearningProblem& problem, const TrainOptions& options) {
  constexpr int kHalf = 63, kWhole = 127;
  constexpr int64_t kEnoughRows = 1000;
  const auto model = [&](int max_weight) {
    return make_model(parts,
                      quantize_parts(parts.tables, parts.linear, problem.bias, parts.entries.max_entry, max_weight),
                      problem.b.rows(), options.depth);
  };
  if (parts.linear.empty()) return {0, model(kWhole)};
  const RowsF learned_from = problem.rows();
  const RowsF rows = learned_from.bottomRows(std::min(learned_from.rows(), kEnoughRows));
  const auto error = [&](const Model& quantized) { return evaluate(quantized, rows, problem.b, problem.bias)["nmse"]; };
  const Model half = model(kHalf), whole = model(kWhole);
  if (error(half) <= (1 + options.rounding_tolerance) * error(whole)) return {kHalf, half};
  return {kWhole, whole};
}

}  // namespace mithral::train_internal
