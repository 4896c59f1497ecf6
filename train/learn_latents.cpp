#include "train/learn_latents.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "train/leading_directions.h"
#include "train/linear/moments.h"
#include "train/quantize_model.h"

namespace mithral::train_internal {
namespace {

TrainOptions options_of_latents(const LearningProblem& problem, const TrainOptions& options) {
  TrainOptions of_latents = options;
  of_latents.n_codebooks = of_latents.n_latents = 0;
  of_latents.n_linear = std::min(options.latent_dims, problem.b.rows());
  of_latents.objective = "mse";
  return of_latents;
}

// The same model with outputs that are codes: `steps` of them are an affine map of what they were.
Model with_steps(const Model& model, const DimSteps& steps) {
  const Tables& tables = model.tables();
  TableArrays arrays{.n_codebooks = tables.n_codebooks(),
                     .n_entries = tables.n_entries(),
                     .lut = tables.lut(),
                     .scale = tables.scale(),
                     .offset = tables.offset()};
  for (int64_t j = 0; j < model.n_outputs(); ++j) {
    arrays.scale[j] *= steps.inverse_step[j];
    arrays.offset[j] = arrays.offset[j] * steps.inverse_step[j] + steps.zero[j];
  }
  return {model.encoder(), Tables(std::move(arrays)), model.linear()};
}

}  // namespace

LearnedLatents learn_latents(const LearningProblem& problem, const TrainOptions& options, Progress& progress) {
  if (options.n_latents == 0) return {};
  const RowsF rows = problem.rows();
  MatrixD directions = leading_directions(rows, means(rows), problem.b, options.n_latents);
  const TrainOptions of_latents = options_of_latents(problem, options);
  const LearningProblem inner{
      .samples = problem.samples, .b = directions, .bias = {}, .has_validation = problem.has_validation};
  const Model model = choose_weights(learn_parts(inner, of_latents, progress), inner, of_latents).model;
  const MatrixF outputs = outputs_of(model, rows);
  std::vector<int32_t> all(outputs.cols());
  std::iota(all.begin(), all.end(), 0);
  const DimSteps steps = choose_steps(outputs, all, Constants::kKept);
  if (steps.dims.empty()) return {};
  for (int64_t j = 0; j < directions.cols(); ++j) directions.col(j) *= double{steps.inverse_step[j]};
  return {std::make_shared<const Model>(with_steps(model, steps)), std::move(directions)};
}

}  // namespace mithral::train_internal
