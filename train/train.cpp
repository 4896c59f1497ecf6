#include "train/train.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "codegen/model/float_environment.h"
#include "train/cache_lines.h"
#include "train/evaluate.h"
#include "train/learn_latents.h"
#include "train/learn_parts.h"
#include "train/quantize_model.h"

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

// The cache lines of a row-major row that splits and linear dims touch.
int64_t count_lines(const LearnedParts& parts, int64_t n_features) {
  CacheLines lines(n_features);
  for (const HashTree& tree : parts.trees) {
    for (const int32_t column : tree.columns_read()) lines.add(column);
  }
  for (const int32_t dim : parts.linear.steps.dims) lines.add(dim);
  if (const Model* latents = parts.linear.steps.latents.get()) {
    for (const int32_t dim : latents->linear().dims()) lines.add(dim);
  }
  return lines.count();
}

}  // namespace

Model train(MatrixView<const float> a, MatrixView<const float> b, std::span<const float> bias,
            const TrainOptions& given) {
  check_train_arguments(a, b, bias, given);
  const DefaultFloatEnvironment ieee;  // threads started below inherit it
  fix_block_sizes();
  const Samples samples(a, given.seed);
  const MatrixD weights = copy_of(b);
  LearningProblem problem{samples, weights, bias};
  Progress progress(given.progress, learning_steps(problem, given) + 1);
  const TrainOptions options = choose_mixture(problem, given, progress);
  const LearnedLatents latents = learn_latents(problem, options, progress);
  if (latents.model) problem.latents = &latents;
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
