#include "train/trees/choose_trees.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "train/augment.h"
#include "train/ridge.h"
#include "train/trees/choose_split.h"

namespace mithral::train_internal {
namespace {

// Rows to learn from that are few: with fewer, made-up ones may join them (augment.h), and trees are learned a second
// time, from the validation rows too.
constexpr int64_t kFewRows = 8192;
constexpr int64_t kFilledUpRows = 16'384;  // what they are filled up to

constexpr int64_t kTrialRows = 4096;  // rows that recipes are compared on

// Row-major input: the tolerances tried, and the share of error that fewer cache lines are worth.
constexpr double kLineTolerances[] = {0.5, 0.3, 0.2, 0.1};
constexpr int64_t kRowsForLines = 100;  // that validate: of 10 to 20, errors three times as large came through
constexpr double kErrorForLines = 0.05;

struct Attempt {
  Recipe recipe;  // with only the trees and sweeps that were worth it
  std::vector<HashTree> trees;
  double error;  // see Boosted
};

bool has_few_rows(const TreeProblem& problem) { return problem.samples.counts().fit < kFewRows; }

// The number of sweeps: one round, which regrows every tree from every level; more where that is cheap. The work is
// counted in additions to the histograms of grow_tree.
int64_t choose_sweeps(const TreeProblem& problem) {
  if (!problem.for_outputs) return 0;
  constexpr int64_t kWork = 800'000'000;
  const int64_t ranking = 2 * kSampleRows * std::min(problem.b.rows(), kMaxColumns);
  const int64_t n_rows = has_few_rows(problem) ? kFilledUpRows : problem.samples.counts().fit;
  const int64_t judging = kFinalists * n_rows * (std::min(problem.b.cols(), kMaxSearchOutputs) + 3) / 4;
  const int64_t work_per_round = problem.n_codebooks * problem.depth * problem.depth * (ranking + judging);
  return std::clamp<int64_t>(kWork / work_per_round, 1, 3) * problem.depth;
}

// The most trees that are grown: beyond a few, each needs some rows of its own to learn from.
int64_t max_grown_trees(const TreeProblem& problem) {
  constexpr int64_t kAlways = 16, kRowsPerTree = 4;
  return std::min(problem.n_codebooks, std::max(kAlways, problem.samples.counts().fit / kRowsPerTree));
}

// Spans to try: 1, 2, 4, ... and the whole depth.
std::vector<int64_t> spans(int64_t depth) {
  std::vector<int64_t> result;
  for (int64_t span = 1; span < depth; span *= 2) result.push_back(span);
  result.push_back(depth);
  return result;
}

std::vector<Recipe> recipes(const TreeProblem& problem) {
  const int64_t n_sweeps = choose_sweeps(problem);
  std::vector<Recipe> result;
  if (problem.for_outputs) {
    for (const bool adds_rows : {false, true}) {
      if (adds_rows && !has_few_rows(problem)) continue;
      for (const int64_t span : spans(problem.depth)) {
        result.push_back({{Start::Kind::kGrown, span}, adds_rows, max_grown_trees(problem), n_sweeps});
      }
    }
  }
  result.push_back({{Start::Kind::kSubspaces, 1}, false, problem.n_codebooks, n_sweeps});
  return result;
}

BoostOptions boost_options(const Recipe& recipe, const TreeProblem& problem) {
  return {.n_codebooks = problem.n_codebooks,
          .depth = problem.depth,
          .start = recipe.start,
          .n_trees = recipe.n_trees,
          .n_sweeps = recipe.n_sweeps,
          .ridge = recipe.ridge,
          .line_tolerance = recipe.line_tolerance,
          .n_threads = problem.n_threads};
}

// Learns trees by a recipe; with validation rows, the attempt's recipe says how far it was worth going.
Attempt attempt(Recipe recipe, const PreparedRows& rows, const TreeProblem& problem, Progress& progress) {
  Boosted boosted = boost_trees(rows, problem.b, boost_options(recipe, problem), progress);
  recipe.n_trees = boosted.n_trees;
  recipe.n_sweeps = boosted.n_sweeps;
  recipe.ridge = boosted.ridge;
  return {recipe, std::move(boosted.trees), boosted.error};
}

// Some rows, as they are and filled up, on which recipes are compared.
class Trials {
 public:
  explicit Trials(const TreeProblem& problem) : problem_(problem) {}

  double error_of(const Recipe& recipe, Progress& progress) {
    return attempt(recipe, prepared(recipe.adds_rows), problem_, progress).error;
  }

 private:
  const PreparedRows& prepared(bool adds_rows) {
    std::optional<PreparedRows>& prepared = prepared_[adds_rows];
    if (prepared) return *prepared;
    const Samples& samples = problem_.samples;
    RowsF rows = samples.fit().topRows(std::min(samples.counts().fit, kTrialRows));
    if (adds_rows) filled_up_ = augment_rows(rows, 2 * kTrialRows, problem_.seed);
    prepared.emplace(adds_rows ? RowsF(filled_up_) : rows, samples.validation(), problem_.b, problem_.n_threads);
    return *prepared;
  }

  const TreeProblem& problem_;
  MatrixF filled_up_;
  std::optional<PreparedRows> prepared_[2];  // [adds_rows]
};

// The largest tolerance that costs little error; none, if too few rows can tell how much. Sweeps make up for much of
// it, so one round is part of the comparison.
double choose_line_tolerance(Recipe recipe, int64_t n_sweeps, const TreeProblem& problem, Trials& trials,
                             Progress& progress) {
  if (problem.samples.counts().validation < kRowsForLines) return 0;
  recipe.n_sweeps = n_sweeps;
  const double any_line = trials.error_of(recipe, progress);
  for (const double tolerance : kLineTolerances) {
    recipe.line_tolerance = tolerance;
    if (trials.error_of(recipe, progress) <= (1 + kErrorForLines) * any_line) return tolerance;
  }
  return 0;
}

Recipe choose_recipe(const TreeProblem& problem, Progress& progress) {
  const std::vector<Recipe> tried = recipes(problem);
  Trials trials(problem);
  std::vector<double> errors;
  for (Recipe recipe : tried) {
    recipe.n_sweeps = 0;
    if (tried.size() > 1) errors.push_back(trials.error_of(recipe, progress));
  }
  Recipe best = tried[std::min_element(errors.begin(), errors.end()) - errors.begin()];
  if (problem.row_major) {
    best.line_tolerance =
        choose_line_tolerance(best, std::min(best.n_sweeps, problem.depth), problem, trials, progress);
  }
  return best;
}

ChosenLambda choose_lambda(const std::vector<HashTree>& trees, const RowsF& rows, const TreeProblem& problem,
                           Progress& progress) {
  const CodedRows learned{rows, encode_all(trees, rows, problem.n_threads)};
  const RowsF validation = problem.samples.validation();
  return choose_lambda(sum_by_entry(learned, int64_t{1} << problem.depth, problem.n_threads), problem.b,
                       {validation, encode_all(trees, validation, problem.n_threads)}, problem.n_threads, progress);
}

// The trees but the last ones that never split, which would only enlarge the regressions. One stays.
std::vector<HashTree> without_unused(std::vector<HashTree> trees) {
  const auto never_splits = [](const HashTree& tree) {
    return std::none_of(tree.thresholds.begin(), tree.thresholds.end(), [](float t) { return std::isfinite(t); });
  };
  while (trees.size() > 1 && never_splits(trees.back())) trees.pop_back();
  return trees;
}

MatrixF rows_for(const Recipe& recipe, const RowsF& rows, const TreeProblem& problem) {
  if (!recipe.adds_rows) return rows;
  return augment_rows(rows, kFilledUpRows, problem.seed);
}

}  // namespace

ChosenTrees try_trees(const TreeProblem& problem, Progress& progress) {
  const Samples& samples = problem.samples;
  const Recipe recipe = choose_recipe(problem, progress);
  MatrixF rows = rows_for(recipe, samples.fit(), problem);
  Attempt best = attempt(recipe, {rows, samples.validation(), problem.b, problem.n_threads}, problem, progress);
  best.trees = without_unused(std::move(best.trees));
  const ChosenLambda chosen = choose_lambda(best.trees, rows, problem, progress);
  return {std::move(best.trees), std::move(rows), best.recipe, chosen.lambda};
}

ChosenTrees learn_from_all(ChosenTrees tried, const TreeProblem& problem, Progress& progress) {
  ChosenTrees chosen = std::move(tried);
  chosen.rows = rows_for(chosen.recipe, problem.samples.training(), problem);
  if (has_few_rows(problem)) {
    const PreparedRows rows(chosen.rows, chosen.rows.topRows(0), problem.b, problem.n_threads);
    chosen.trees = without_unused(attempt(chosen.recipe, rows, problem, progress).trees);
  }
  return chosen;
}

int64_t tree_steps(const TreeProblem& problem) {
  const std::vector<Recipe> tried = recipes(problem);
  const auto steps_of = [&problem](Recipe recipe, int64_t n_sweeps) {
    recipe.n_sweeps = n_sweeps;
    return boost_steps(boost_options(recipe, problem));
  };
  int64_t comparing = 0, learning = 0, choosing_tolerance = 0;
  for (const Recipe& recipe : tried) {  // any of them may be the one that is chosen
    if (tried.size() > 1) comparing += steps_of(recipe, 0);
    learning = std::max(learning, steps_of(recipe, recipe.n_sweeps));
    choosing_tolerance = std::max(choosing_tolerance, steps_of(recipe, std::min(recipe.n_sweeps, problem.depth)));
  }
  const int64_t tolerances = problem.row_major ? 1 + std::ssize(kLineTolerances) : 0;
  return comparing + tolerances * choosing_tolerance + (has_few_rows(problem) ? 2 : 1) * learning;
}

}  // namespace mithral::train_internal
