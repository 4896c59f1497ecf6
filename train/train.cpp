#include "train/train.h"

#include <algorithm>
#include <utility>

#include "codegen/float_environment.h"
#include "train/check_arguments.h"
#include "train/evaluate.h"
#include "train/objective.h"
#include "train/progress.h"
#include "train/quantize_lut.h"
#include "train/ridge.h"
#include "train/samples.h"

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

ModelArrays make_arrays(const std::vector<HashTree>& trees, QuantizedLut lut, const MatrixD& b, int64_t depth) {
  ModelArrays arrays{.n_features = b.rows(),
                     .n_outputs = b.cols(),
                     .n_codebooks = static_cast<int64_t>(trees.size()),
                     .depth = depth,
                     .split_dims = {},
                     .thresholds = {},
                     .lut = std::move(lut.lut),
                     .scale = std::move(lut.scale),
                     .offset = std::move(lut.offset)};
  for (const HashTree& tree : trees) {
    arrays.split_dims.insert(arrays.split_dims.end(), tree.split_dims.begin(), tree.split_dims.end());
    arrays.thresholds.insert(arrays.thresholds.end(), tree.thresholds.begin(), tree.thresholds.end());
  }
  return arrays;
}

// The leaf outputs that fit all rows for training best.
LeafOutputs fit_outputs(const ChosenTrees& chosen, const Samples& samples, const MatrixD& b, int64_t depth,
                        int64_t n_threads, Progress& progress) {
  LeafSums sums(static_cast<int64_t>(chosen.trees.size()), int64_t{1} << depth, b.rows());
  sums.add(encode_all(chosen.trees, chosen.rows, n_threads), chosen.rows, n_threads);
  for (int64_t block = 0; samples.counts().streamed > 0 && block < samples.n_blocks(); ++block) {
    const MatrixF rows = samples.streamed_rows(block);
    sums.add(encode_all(chosen.trees, rows, n_threads), rows, n_threads);
    progress.poll();
  }
  return solve(sums, b, chosen.lambda, n_threads);
}

// The summed squared error of a row's outputs, on average over some of the (shuffled) rows learned from.
double error_per_row(const LeafOutputs& outputs, const Codes& codes, const RowsF& rows, const MatrixD& b) {
  constexpr int64_t kEnoughRows = 500;
  const int64_t n = std::min<int64_t>(rows.rows(), kEnoughRows);
  const MatrixD exact = rows.topRows(n).cast<double>() * b;
  return squared_error(outputs, codes.topRows(n), exact) / static_cast<double>(n);
}

}  // namespace

Model train(MatrixView<const float> a, MatrixView<const float> b, std::span<const float> bias,
            const TrainOptions& options) {
  check_arguments(a, b, bias, options);
  const DefaultFloatEnvironment ieee;  // threads started below inherit it
  fix_block_sizes();
  const Samples samples(a, options.seed);
  const MatrixD weights = copy_of(b);
  const TreeProblem problem{.samples = samples,
                            .b = weights,
                            .objective = options.objective,
                            .n_codebooks = options.n_codebooks,
                            .depth = options.depth,
                            .line_tolerance = 0,
                            .seed = options.seed,
                            .n_threads = options.n_threads};
  Progress progress(options.progress, tree_steps(problem) + 1);

  const ChosenTrees chosen = choose_trees(problem, progress);
  const LeafOutputs outputs = fit_outputs(chosen, samples, weights, options.depth, options.n_threads, progress);
  const Codes codes = encode_all(chosen.trees, samples.training(), options.n_threads);
  const int max_entry = choose_max_entry(outputs, error_per_row(outputs, codes, samples.training(), weights));
  const Model model(make_arrays(chosen.trees, quantize_lut(outputs, bias, max_entry), weights, options.depth));

  Report report = evaluate(model, samples.holdout(), weights, bias);
  report["n_train"] = static_cast<double>(a.rows - samples.counts().holdout);
  report["lambda"] = chosen.lambda;
  progress.finish();
  return Model(model.arrays(), std::move(report));
}

}  // namespace mithral
