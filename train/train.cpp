#include "train/train.h"

#include <utility>

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

// The joint regression: first without the validation rows, to choose the penalty on them, then with them.
std::pair<LeafOutputs, double> fit_leaves(const std::vector<HashTree>& trees, const Samples& samples, const MatrixD& b,
                                          const TrainOptions& options, Progress& progress) {
  const int64_t n_leaves = int64_t{1} << options.depth;
  const Codes codes = encode_all(trees, samples.fit(), options.n_threads);
  const Codes validation_codes = encode_all(trees, samples.validation(), options.n_threads);
  LeafSums sums = sum_leaves(codes, n_leaves, samples.fit(), options.n_threads);
  const double lambda = choose_lambda(sums, b, validation_codes, samples.validation(), progress);
  sums += sum_leaves(validation_codes, n_leaves, samples.validation(), options.n_threads);
  return {solve(sums, b, lambda), lambda};
}

}  // namespace

Model train(MatrixView<const float> a, MatrixView<const float> b, std::span<const float> bias,
            const TrainOptions& options) {
  check_arguments(a, b, bias, options);
  fix_block_sizes();
  Progress progress(options.progress, options.n_codebooks + kMaxLambdaSteps + 1);

  const Samples samples = deal_rows(a, options.seed);
  const MatrixD weights = copy_of(b);
  const std::vector<HashTree> trees = find_objective(options.objective)(
      {samples.fit(), weights, options.n_codebooks, options.depth, options.n_threads}, progress);
  const auto [outputs, lambda] = fit_leaves(trees, samples, weights, options, progress);
  const Model model(make_arrays(trees, quantize_lut(outputs, bias), weights, options.depth));

  Report report = evaluate(model, samples.holdout(), weights, bias);
  report["n_train"] = static_cast<double>(a.rows - samples.counts.holdout);
  report["lambda"] = lambda;
  progress.finish();
  return Model(model.arrays(), std::move(report));
}

}  // namespace mithral
