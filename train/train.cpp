#include "train/train.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "codegen/model/float_environment.h"
#include "train/cache_lines.h"
#include "train/evaluate.h"
#include "train/learn_parts.h"
#include "train/quantize_parts.h"

namespace mithral {
namespace {

using namespace train_internal;

// Eigen sizes the blocks of its products by the host's caches, and their order decides the last bits of a sum. Fixed
// sizes give the same model on every machine.
void fix_block_sizes() {
  static const bool once = (Eigen::setCpuCacheSizes(32 << 10, 1 << 20, 8 << 20), true);
  static_cast<void>(once);
}

MatrixD copy_of(MatrixView<const float> view) {
  MatrixD copy(view.rows, view.cols);
  for (int64_t i = 0; i < view.rows; ++i) {
    for (int64_t j = 0; j < view.cols; ++j) copy(i, j) = view(i, j);
  }
  return copy;
}

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
                      .weights = std::move(quantized.weights)};
  return {HashTrees(std::move(trees)), Tables(std::move(tables)), LinearDims(std::move(linear))};
}

// The cache lines of a row-major row that splits and linear dims touch.
int64_t count_lines(const LearnedParts& parts, int64_t n_features) {
  CacheLines lines(n_features);
  for (const HashTree& tree : parts.trees) {
    for (const int32_t column : tree.columns_read()) lines.add(column);
  }
  for (const int32_t dim : parts.linear.steps.dims) lines.add(dim);
  return lines.count();
}

// The smaller of two largest weights if rounding to it costs no more than the share `tolerance` of squared error on
// rows learned from: kernels without dot products of bytes add twice as many products in 16 bits then.
struct ChosenWeights {
  int max_weight;
  Model model;
};
ChosenWeights choose_weights(const LearnedParts& parts, const LearningProblem& problem, const TrainOptions& options) {
  constexpr int kHalf = 63, kWhole = 127;
  constexpr int64_t kEnoughRows = 1000;
  const auto model = [&](int max_weight) {
    return make_model(parts,
                      quantize_parts(parts.tables, parts.linear, problem.bias, parts.entries.max_entry, max_weight),
                      problem.b.rows(), options.depth);
  };
  if (parts.linear.empty()) return {0, model(kWhole)};
  const RowsF training = problem.samples.training();
  const RowsF rows = training.bottomRows(std::min(training.rows(), kEnoughRows));
  const auto error = [&](const Model& quantized) { return evaluate(quantized, rows, problem.b, problem.bias)["nmse"]; };
  const Model half = model(kHalf), whole = model(kWhole);
  if (error(half) <= (1 + options.rounding_tolerance) * error(whole)) return {kHalf, half};
  return {kWhole, whole};
}

}  // namespace

Model train(MatrixView<const float> a, MatrixView<const float> b, std::span<const float> bias,
            const TrainOptions& given) {
  check_train_arguments(a, b, bias, given);
  const DefaultFloatEnvironment ieee;  // threads started below inherit it
  fix_block_sizes();
  const Samples samples(a, given.seed);
  const MatrixD weights = copy_of(b);
  const LearningProblem problem{samples, weights, bias};
  Progress progress(given.progress, learning_steps(problem, given) + 1);
  const TrainOptions options = choose_mixture(problem, given, progress);
  const LearnedParts parts = learn_parts(problem, options, progress);
  const ChosenWeights chosen = choose_weights(parts, problem, options);

  Report report = parts.report;
  report.merge(evaluate(chosen.model, samples.holdout(), weights, bias));
  report["n_train"] = static_cast<double>(a.rows - samples.counts().holdout);
  report["cache_lines"] = static_cast<double>(count_lines(parts, a.cols));
  report["max_weight"] = chosen.max_weight;
  progress.finish();
  return chosen.model.with_report(std::move(report));
}

}  // namespace mithral
