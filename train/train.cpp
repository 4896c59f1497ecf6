#include "train/train.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "codegen/model/float_environment.h"
#include "train/evaluate.h"
#include "train/fit_tables.h"
#include "train/objective.h"
#include "train/progress.h"
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

// The trees as tables see them; they may be filled up meanwhile.
LearnedEncoder encoder_of(const ChosenTrees& chosen, const TreeProblem& problem) {
  return {.encode = [&trees = chosen.trees,
                     n_threads = problem.n_threads](const RowsF& rows) { return encode_all(trees, rows, n_threads); },
          .n_entries = int64_t{1} << problem.depth,
          .rows = chosen.rows,
          .lambda = chosen.lambda};
}

// Adds trees that never split, and entries of 0, up to the number of codebooks asked for.
void fill_up(std::vector<HashTree>& trees, RealTables& tables, const TrainOptions& options) {
  const HashTree dead{std::vector<int32_t>(options.depth),
                      std::vector<float>(tables.n_entries - 1, std::numeric_limits<float>::infinity())};
  trees.resize(options.n_codebooks, dead);
  const int64_t n_fitted = tables.entries.rows();
  tables.entries.conservativeResize(options.n_codebooks * tables.n_entries, Eigen::NoChange);
  tables.entries.bottomRows(tables.entries.rows() - n_fitted).setZero();
}

Model make_model(const std::vector<HashTree>& trees, QuantizedLut lut, int64_t n_features) {
  TreeArrays arrays{.n_features = n_features,
                    .n_codebooks = std::ssize(trees),
                    .depth = trees[0].depth(),
                    .split_dims = {},
                    .thresholds = {}};
  for (const HashTree& tree : trees) {
    arrays.split_dims.insert(arrays.split_dims.end(), tree.split_dims.begin(), tree.split_dims.end());
    arrays.thresholds.insert(arrays.thresholds.end(), tree.thresholds.begin(), tree.thresholds.end());
  }
  TableArrays tables{.n_codebooks = std::ssize(trees),
                     .n_entries = int64_t{1} << arrays.depth,
                     .lut = std::move(lut.lut),
                     .scale = std::move(lut.scale),
                     .offset = std::move(lut.offset)};
  return {HashTrees(std::move(arrays)), Tables(std::move(tables))};
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
  const Objective& objective = find_objective(options.objective);
  const Samples samples(a, options.seed);
  const MatrixD weights = copy_of(b);
  const TreeProblem trees{.samples = samples,
                          .b = weights,
                          .for_outputs = objective.trees_for_outputs,
                          .n_codebooks = options.n_codebooks,
                          .depth = options.depth,
                          .row_major = options.layout == "row",
                          .seed = options.seed,
                          .n_threads = options.n_threads};
  const TableProblem tables{.samples = samples, .b = weights, .bias = bias, .n_threads = options.n_threads};
  Progress progress(options.progress, tree_steps(trees) + (objective.fits_classes ? kClassFitSteps : 0) + 1);

  ChosenTrees tried = try_trees(trees, progress);
  const ClassFit class_fit =
      objective.fits_classes ? choose_class_fit(encoder_of(tried, trees), tables, progress) : ClassFit{};
  ChosenTrees chosen = learn_from_all(std::move(tried), trees, progress);
  const LearnedEncoder encoder = encoder_of(chosen, trees);
  RealTables fitted = fit_tables(encoder, class_fit, tables, progress);
  fill_up(chosen.trees, fitted, options);
  const ChosenEntries entries = choose_entries(fitted, make_rounding_rows(encoder, tables), options.rounding_tolerance);
  const Model model = make_model(chosen.trees, quantize_lut(fitted, bias, entries.max_entry), a.cols);

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
