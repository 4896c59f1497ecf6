#include "train/train.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "codegen/model/float_environment.h"
#include "train/class_probabilities.h"
#include "train/evaluate.h"
#include "train/progress.h"
#include "train/quantize_lut.h"
#include "train/ridge.h"
#include "train/samples.h"
#include "train/trees/cache_lines.h"
#include "train/trees/choose_trees.h"

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

Model make_model(const std::vector<HashTree>& trees, QuantizedLut lut, int64_t n_features, int64_t depth) {
  TreeArrays arrays{.n_features = n_features,
                    .n_codebooks = static_cast<int64_t>(trees.size()),
                    .depth = depth,
                    .split_dims = {},
                    .thresholds = {}};
  for (const HashTree& tree : trees) {
    arrays.split_dims.insert(arrays.split_dims.end(), tree.split_dims.begin(), tree.split_dims.end());
    arrays.thresholds.insert(arrays.thresholds.end(), tree.thresholds.begin(), tree.thresholds.end());
  }
  TableArrays tables{.n_codebooks = arrays.n_codebooks,
                     .n_entries = int64_t{1} << depth,
                     .lut = std::move(lut.lut),
                     .scale = std::move(lut.scale),
                     .offset = std::move(lut.offset)};
  return {HashTrees(std::move(arrays)), Tables(std::move(tables))};
}

LeafSums sum_rows(const ChosenTrees& chosen, const TreeProblem& problem) {
  return sum_leaves(encode_all(chosen.trees, chosen.rows, problem.n_threads), int64_t{1} << problem.depth, chosen.rows,
                    problem.n_threads);
}

// How tables are to be fitted to classes, decided without the validation rows in trees and tables.
ClassFit choose_class_fit(const ChosenTrees& tried, const TreeProblem& problem, std::span<const float> bias,
                          Progress& progress) {
  const LeafOutputs outputs = solve(sum_rows(tried, problem), problem.b, tried.lambda, problem.n_threads);
  return choose_class_fit(outputs, tried, problem.samples.validation(), problem.b, bias, problem.n_threads, progress);
}

// The leaf outputs that fit all rows for training best.
LeafOutputs fit_outputs(const ChosenTrees& chosen, const TreeProblem& problem, Progress& progress) {
  const Samples& samples = problem.samples;
  LeafSums sums = sum_rows(chosen, problem);
  for (int64_t block = 0; samples.counts().streamed > 0 && block < samples.n_blocks(); ++block) {
    const MatrixF rows = samples.streamed_rows(block);
    sums.add(encode_all(chosen.trees, rows, problem.n_threads), rows, problem.n_threads);
    progress.poll();
  }
  return solve(sums, problem.b, chosen.lambda, problem.n_threads);
}

// Rounding is judged on some of the rows for training: all that counts is how it compares with the error already there.
RoundingRows rounding_rows(const ChosenTrees& chosen, const Samples& samples, const MatrixD& b, int64_t n_threads) {
  constexpr int64_t kEnoughRows = 1000;
  const RowsF rows = samples.training().bottomRows(std::min(samples.training().rows(), kEnoughRows));
  return {encode_all(chosen.trees, rows, n_threads), rows.cast<double>() * b};
}

// Up to the number of codebooks asked for: trees that never split, and entries of 0.
void fill_up(std::vector<HashTree>& trees, LeafOutputs& outputs, const TrainOptions& options) {
  const int64_t n_leaves = int64_t{1} << options.depth;
  const HashTree dead{std::vector<int32_t>(options.depth),
                      std::vector<float>(n_leaves - 1, std::numeric_limits<float>::infinity())};
  trees.resize(options.n_codebooks, dead);
  const int64_t n_fitted = outputs.entries.rows();
  outputs.entries.conservativeResize(options.n_codebooks * n_leaves, Eigen::NoChange);
  outputs.entries.bottomRows(outputs.entries.rows() - n_fitted).setZero();
}

int64_t count_lines(const std::vector<HashTree>& trees, int64_t n_features) {
  CacheLines lines(n_features);
  for (const HashTree& tree : trees) {
    for (int l = 0; l < tree.depth(); ++l) {
      const auto first = tree.thresholds.begin() + (1 << l) - 1;
      const bool splits = std::any_of(first, first + (1 << l), [](float t) { return std::isfinite(t); });
      if (splits) lines.add(tree.split_dims[l]);
    }
  }
  return lines.count();
}

}  // namespace

Model train(MatrixView<const float> a, MatrixView<const float> b, std::span<const float> bias,
            const TrainOptions& options) {
  check_train_arguments(a, b, bias, options);
  const DefaultFloatEnvironment ieee;  // threads started below inherit it
  fix_block_sizes();
  const Samples samples(a, options.seed);
  const MatrixD weights = copy_of(b);
  const TreeProblem problem{.samples = samples,
                            .b = weights,
                            .objective = options.objective,
                            .n_codebooks = options.n_codebooks,
                            .depth = options.depth,
                            .row_major = options.layout == "row",
                            .seed = options.seed,
                            .n_threads = options.n_threads};
  const bool fits_classes = options.objective == "argmax";
  Progress progress(options.progress, tree_steps(problem) + (fits_classes ? kClassFitSteps : 0) + 1);

  ChosenTrees tried = try_trees(problem, progress);
  const ClassFit class_fit = fits_classes ? choose_class_fit(tried, problem, bias, progress) : ClassFit{};
  ChosenTrees chosen = learn_from_all(std::move(tried), problem, progress);
  LeafOutputs outputs = fit_class_probabilities(fit_outputs(chosen, problem, progress), chosen, class_fit, weights,
                                                bias, options.n_threads, progress);
  fill_up(chosen.trees, outputs, options);
  const ChosenEntries entries =
      choose_entries(outputs, rounding_rows(chosen, samples, weights, options.n_threads), options.rounding_tolerance);
  QuantizedLut lut = quantize_lut(outputs, bias, entries.max_entry);
  const Model model = make_model(chosen.trees, std::move(lut), a.cols, options.depth);

  Report report = evaluate(model, samples.holdout(), weights, bias);
  report["n_train"] = static_cast<double>(a.rows - samples.counts().holdout);
  report["lambda"] = chosen.lambda;
  report["line_tolerance"] = chosen.recipe.line_tolerance;
  report["cache_lines"] = static_cast<double>(count_lines(chosen.trees, a.cols));
  report["max_entry"] = entries.max_entry;
  report["rounding_rise"] = entries.rise;
  report["temperature"] = class_fit.temperature;
  progress.finish();
  return model.with_report(std::move(report));
}

}  // namespace mithral
