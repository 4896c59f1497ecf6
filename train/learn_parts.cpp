#include "train/learn_parts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "train/cache_lines.h"
#include "train/class_probabilities.h"
#include "train/fit_tables.h"
#include "train/learn_latents.h"
#include "train/linear/moments.h"
#include "train/objective.h"
#include "train/standard_error.h"
#include "train/trees/choose_trees.h"

namespace mithral::train_internal {
namespace {

constexpr int64_t kLinearSteps = 1;  // of progress
constexpr double kTie = 1.02;  // times the least error: of mixtures, the later is taken then, which has fewer codebooks

// The trees as tables see them; they may be filled up meanwhile.
LearnedEncoder encoder_of(const ChosenTrees& chosen, const TreeProblem& problem) {
  return {.encode = [&trees = chosen.trees,
                     n_threads = problem.n_threads](const RowsF& rows) { return encode_all(trees, rows, n_threads); },
          .n_entries = int64_t{1} << problem.depth,
          .rows = chosen.rows,
          .lambda = chosen.lambda};
}

// Adds trees that never split, and entries of 0, up to the number of codebooks.
void fill_up(LearnedParts& parts, int64_t n_codebooks, int64_t depth) {
  RealTables& tables = parts.tables;
  const HashTree dead{std::vector<int32_t>(depth),
                      std::vector<float>(tables.n_entries - 1, std::numeric_limits<float>::infinity())};
  parts.trees.resize(n_codebooks, dead);
  const int64_t n_fitted = tables.entries.rows();
  tables.entries.conservativeResize(n_codebooks * tables.n_entries, Eigen::NoChange);
  tables.entries.bottomRows(tables.entries.rows() - n_fitted).setZero();
}

TreeProblem tree_problem(const LearningProblem& problem, const MatrixD& b, const TrainOptions& options) {
  return {.samples = problem.samples,
          .b = b,
          .for_outputs = find_objective(options.objective).trees_for_outputs,
          .n_codebooks = options.n_codebooks,
          .depth = options.depth,
          .row_major = options.layout == "row",
          .seed = options.seed,
          .n_threads = options.n_threads};
}

bool has_linear(const TrainOptions& options) { return options.n_linear > 0 || options.n_latents > 0; }

bool fits_classes(const TrainOptions& options) { return find_objective(options.objective).fits_classes; }

// No codebooks: a row has no code.
LearnedEncoder no_encoder(const RowsF& rows) {
  return {.encode = [](const RowsF& of) { return Codes(of.rows(), 0); }, .n_entries = 2, .rows = rows, .lambda = 1};
}

// How parts are to be fitted to classes, decided by the validation rows: `tried` was learned without them, and so are
// tables and weights here.
ClassFit decide_class_fit(const LearnedEncoder& tried, const LearningProblem& problem, const ChosenDims& dims,
                          int64_t n_threads, Progress& progress) {
  const RowsF fit = problem.samples.fit(), validation = problem.samples.validation();
  ClassParts parts{.tables = {means(tried.rows) * problem.b, MatrixD(0, problem.b.cols()), tried.n_entries},
                   .linear = fit_linear(dims, fit, problem.b, n_threads)};
  const CodedRows learned{tried.rows, tried.encode(tried.rows)};
  if (learned.codes.cols() > 0) {
    const MatrixD left = without_linear(problem.b, parts.linear);
    Eigen::RowVectorXd mean = std::move(parts.tables.mean);
    parts.tables = fit_tables_to_learned(tried, {problem.samples, left, problem.bias, n_threads});
    if (!parts.linear.empty()) parts.tables.mean = mean;
  }
  const MatrixF judging = make_judging_rows(validation);
  return choose_class_fit(parts, learned, {judging, tried.encode(judging)}, validation.rows(), problem.b, problem.bias,
                          n_threads, progress);
}

// Tables and weights that give the encoder's rows the exact product's classes.
void fit_to_classes(const LearnedEncoder& encoder, const LearningProblem& problem, const ClassFit& how,
                    int64_t n_threads, LearnedParts& parts, Progress& progress) {
  parts.report["temperature"] = how.temperature;
  if (how.n_steps == 0) return;
  ClassParts fitted = fit_class_probabilities({std::move(parts.tables), std::move(parts.linear)},
                                              {encoder.rows, encoder.encode(encoder.rows)}, how, problem.b,
                                              problem.bias, n_threads, progress);
  parts.tables = std::move(fitted.tables);
  parts.linear = std::move(fitted.linear);
}

// Weights and tables in turns, each for what the other leaves: tables of all rows, weights of those that trees were
// learned from. `left` is B without the linear dims.
void fit_in_turns(const LearnedEncoder& encoder, const LearningProblem& problem, const TrainOptions& options,
                  const ChosenDims& dims, MatrixD& left, LearnedParts& parts, Progress& progress) {
  const Codes codes = encoder.encode(encoder.rows);
  const LinearRegression regression(parts.linear.steps, encoder.rows, options.n_threads);
  const auto fit_weights = [&] {
    parts.linear = regression.with_weights(regression.solve(problem.b, dims.ridge, parts.tables, codes));
    left = without_linear(problem.b, parts.linear);
    progress.poll();
  };
  fit_weights();
  parts.tables = fit_tables(encoder, {problem.samples, left, problem.bias, options.n_threads}, progress);
  fit_weights();
}

void learn_trees(const LearningProblem& problem, const TrainOptions& options, const ChosenDims& dims,
                 LearnedParts& parts, Progress& progress) {
  MatrixD left = without_linear(problem.b, parts.linear);
  const TreeProblem trees = tree_problem(problem, left, options);
  const TableProblem tables{problem.samples, left, problem.bias, options.n_threads};
  ChosenTrees tried = try_trees(trees, progress);
  const ClassFit class_fit =
      fits_classes(options) ? decide_class_fit(encoder_of(tried, trees), problem, dims, options.n_threads, progress)
                            : ClassFit{};
  ChosenTrees chosen = learn_from_all(std::move(tried), trees, progress);
  const LearnedEncoder encoder = encoder_of(chosen, trees);
  parts.tables = fit_tables(encoder, tables, progress);
  if (!parts.linear.empty()) {
    fit_in_turns(encoder, problem, options, dims, left, parts, progress);
    parts.tables.mean = means(encoder.rows) * problem.b;
  }
  fit_to_classes(encoder, problem, class_fit, options.n_threads, parts, progress);
  RealTables rounded = parts.tables;
  if (!parts.linear.empty()) {
    left = without_linear(problem.b, parts.linear);
    rounded.mean = means(encoder.rows) * left;
  }
  parts.entries = choose_entries(rounded, make_rounding_rows(encoder, tables), options.rounding_tolerance);
  parts.trees = std::move(chosen.trees);
  parts.report["lambda"] = chosen.lambda;
  parts.report["line_tolerance"] = chosen.recipe.line_tolerance;
  parts.report["max_entry"] = parts.entries.max_entry;
  parts.report["rounding_rise"] = parts.entries.rise;
}

void learn_linear_alone(const LearningProblem& problem, const TrainOptions& options, const ChosenDims& dims,
                        LearnedParts& parts, Progress& progress) {
  if (!fits_classes(options) || parts.linear.empty()) return;
  const ClassFit class_fit =
      decide_class_fit(no_encoder(problem.samples.fit()), problem, dims, options.n_threads, progress);
  fit_to_classes(no_encoder(problem.samples.training()), problem, class_fit, options.n_threads, parts, progress);
}

LinearProblem linear_problem(const LearningProblem& problem, const MatrixD& b, const TrainOptions& options) {
  return {.samples = problem.samples,
          .b = b,
          .n_dims = options.n_linear,
          .select_by = options.layout == "row" ? SelectBy::kLine : SelectBy::kColumn,
          .n_threads = options.n_threads,
          .latents = problem.latents};
}

TreesRead columns_read(const std::vector<HashTree>& trees, int64_t n_features) {
  CacheLines lines(n_features);
  std::set<int32_t> columns;
  for (const HashTree& tree : trees) {
    for (const int32_t column : tree.columns_read()) {
      lines.add(column);
      columns.insert(column);
    }
  }
  return {std::ssize(trees), std::ssize(columns), lines.count()};
}

// Trees that take as long as any of the budget.
TreesRead all_columns(const LearningProblem& problem, const TrainOptions& options) {
  const int64_t n_features = problem.b.rows();
  return {options.mixtures(std::nullopt).front().n_codebooks, n_features, CacheLines(n_features).n_lines()};
}

// A mixture learned without the validation rows.
struct Trial {
  Eigen::VectorXd errors;  // squared, of each validation row, summed over (a sketch of) the outputs
  TreesRead trees;
};

Trial try_latents(const LearningProblem& problem, const TrainOptions& options, Progress& progress) {
  LearningProblem trial = problem;
  trial.has_validation = false;
  const LearnedLatents latents = learn_latents(trial, options, progress);
  if (latents.model) trial.latents = &latents;
  const ChosenDims dims = choose_dims(linear_problem(trial, problem.b, options));
  progress.step(kLinearSteps);
  RealLinear linear = fit_linear(dims, trial.rows(), problem.b, options.n_threads);
  linear.weights = sketch_outputs(linear.weights);
  const MatrixD left =
      outputs_left(linear, problem.samples.validation(), means(trial.rows()), sketch_outputs(problem.b));
  return {left.rowwise().squaredNorm(), {}};
}

Trial try_mixture(const LearningProblem& problem, const TrainOptions& options, Progress& progress) {
  if (options.n_latents > 0) return try_latents(problem, options, progress);
  const RowsF fit = problem.samples.fit(), validation = problem.samples.validation();
  const MatrixD sketch = sketch_outputs(problem.b);
  ChosenDims dims;
  if (options.n_linear > 0) {
    dims = choose_dims(linear_problem(problem, sketch, options));
    progress.step(kLinearSteps);
  }
  const RealLinear linear = fit_linear(dims, fit, sketch, options.n_threads);
  const MatrixD outputs = outputs_left(linear, validation, means(fit), sketch);
  if (options.n_codebooks == 0) return {outputs.rowwise().squaredNorm(), {}};
  const MatrixD left = without_linear(sketch, linear);
  const TreeProblem trees = tree_problem(problem, left, options);
  const ChosenTrees tried = try_trees(trees, progress);
  const LearnedEncoder encoder = encoder_of(tried, trees);
  RealTables tables = fit_tables_to_learned(encoder, {problem.samples, left, problem.bias, options.n_threads});
  tables.mean.setZero();
  return {squared_errors(tables, encoder.encode(validation), outputs), columns_read(tried.trees, problem.b.rows())};
}

}  // namespace

TrainOptions with(const TrainOptions& options, const Mixture& mixture) {
  TrainOptions result = options;
  result.mixtures = {};
  result.n_codebooks = mixture.n_codebooks;
  result.n_linear = mixture.n_linear;
  result.n_latents = mixture.n_latents;
  if (mixture.n_latents > 0) result.latent_dims = mixture.latent_dims;
  return result;
}

TrainOptions choose_mixture(const LearningProblem& problem, const TrainOptions& options, Progress& progress) {
  if (!options.mixtures) return options;
  const Mixture of_budget = options.mixtures(std::nullopt).front();
  TrainOptions best = with(options, of_budget);
  if (problem.samples.counts().validation == 0) return best;
  const Trial alone = try_mixture(problem, best, progress);
  Eigen::VectorXd best_errors = alone.errors;
  double least = alone.errors.sum();
  for (const Mixture& mixture : options.mixtures(alone.trees)) {
    if (mixture == of_budget) continue;
    const TrainOptions tried = with(options, mixture);
    check_options(tried, problem.b.rows(), problem.b.cols());
    const Eigen::VectorXd errors = try_mixture(problem, tried, progress).errors;
    const double error = errors.sum();
    const bool ties = has_linear(best) && error <= kTie * least;
    if (error < least || ties) best = tried, best_errors = errors;
    least = std::min(least, error);
  }
  // Chance may be all that a mixture has over trees on few validation rows, and the most lucky of many was taken.
  const Eigen::ArrayXd gain = alone.errors - best_errors;
  return gain.mean() <= standard_error_of_mean(gain) ? with(options, of_budget) : best;
}

LearnedParts learn_parts(const LearningProblem& problem, const TrainOptions& options, Progress& progress) {
  ChosenDims dims;
  if (has_linear(options)) {
    dims = choose_dims(linear_problem(problem, problem.b, options));
    progress.step(kLinearSteps);
  }
  const int64_t n_entries = int64_t{1} << options.depth;
  LearnedParts parts{
      .trees = {},
      .tables = {means(problem.rows()) * problem.b, MatrixD(0, problem.b.cols()), n_entries},
      .linear = fit_linear(dims, problem.rows(), problem.b, options.n_threads),
      .entries = {},
      .report = {{"lambda", 0}, {"line_tolerance", 0}, {"max_entry", 0}, {"rounding_rise", 0}, {"temperature", 0}}};
  if (options.n_codebooks > 0) {
    learn_trees(problem, options, dims, parts, progress);
  } else {
    learn_linear_alone(problem, options, dims, parts, progress);
  }
  const bool nothing_varies = options.n_codebooks == 0 && parts.linear.empty();
  fill_up(parts, nothing_varies ? 1 : options.n_codebooks, options.depth);
  parts.report["ridge"] = dims.ridge;
  return parts;
}

int64_t learning_steps(const LearningProblem& problem, const TrainOptions& options) {
  if (options.mixtures) {
    int64_t tried = 0, most = 0;
    for (const Mixture& mixture : options.mixtures(all_columns(problem, options))) {
      const int64_t steps = learning_steps(problem, with(options, mixture));
      tried += steps;
      most = std::max(most, steps);
    }
    return tried + most;
  }
  const int64_t of_trees = options.n_codebooks == 0 ? 0 : tree_steps(tree_problem(problem, problem.b, options));
  return (has_linear(options) ? kLinearSteps : 0) + (options.n_latents > 0 ? kLinearSteps : 0) + of_trees +
         (fits_classes(options) ? kClassFitSteps : 0);
}

}  // namespace mithral::train_internal
