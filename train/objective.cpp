#include "train/objective.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "codegen/error.h"
#include "train/augment.h"
#include "train/boosting.h"
#include "train/ridge.h"
#include "train/subspace_trees.h"

namespace mithral::train_internal {
namespace {

// Below this many rows, trees are also tried on made-up ones beside them; and all trees are learned a second time, from
// the validation rows too.
const int64_t kFewRows = getenv("FEW")?atoi(getenv("FEW")):16384;

constexpr double kNoiseStrengths[] = {0.0, 0.3};

constexpr int64_t kFewRowSweeps = 8;
constexpr int64_t kManyRowSweeps = 2;

// A way of learning trees: what is tried on the rows to learn from can be done again with more rows.
struct Recipe {
  enum class Trees { kBoosted, kSubspaces } kind;
  double noise = 0;  // strength of the made-up rows' noise; 0: none are made
  int64_t n_trees = 0;
  int64_t n_sweeps = 0;
};

struct Attempt {
  Recipe recipe;
  std::vector<HashTree> trees;
  MatrixF rows;  // learned from
};

bool has_few_rows(const TreeProblem& problem) { return problem.samples.counts().fit < kFewRows; }

std::vector<Recipe> recipes(const std::string& objective, const TreeProblem& problem) {
  using Trees = Recipe::Trees;
  if (objective == "reconstruction") return {{Trees::kSubspaces}};
  std::vector<Recipe> result;
  for (double noise : kNoiseStrengths) { if(getenv("NZ")){ if(noise==0) continue; noise=atof(getenv("NZ")); }
    if (noise > 0 && !has_few_rows(problem)) continue;
    result.push_back({Trees::kBoosted, noise, problem.n_codebooks, getenv("SW")?atoi(getenv("SW")):has_few_rows(problem) ? kFewRowSweeps : kManyRowSweeps});
  }
  return result;
}

BoostOptions boost_options(const Recipe& recipe, const TreeProblem& problem) {
  return {.n_codebooks = problem.n_codebooks,
          .depth = problem.depth,
          .n_trees = recipe.n_trees,
          .n_sweeps = recipe.n_sweeps,
          .span = getenv("SPAN")?atoi(getenv("SPAN")):1,
          .line_tolerance = problem.line_tolerance,
          .n_threads = problem.n_threads};
}

// Learns trees by a recipe; with validation rows, the attempt's recipe says how far it was worth going.
Attempt attempt(Recipe recipe, const RowsF& rows, const RowsF& validation, const TreeProblem& problem,
                Progress& progress) {
  Attempt result{recipe, {}, recipe.noise > 0 ? augment_rows(rows, kFewRows, recipe.noise, problem.seed) : MatrixF(rows)};
  if (recipe.kind == Recipe::Trees::kSubspaces) {
    result.trees = learn_subspace_trees(
        result.rows, problem.b, {problem.n_codebooks, problem.depth, problem.line_tolerance, problem.n_threads}, progress);
    return result;
  }
  Boosted boosted = boost_trees(result.rows, validation, problem.b, boost_options(recipe, problem), progress);
  result.trees = std::move(boosted.trees);
  result.recipe.n_trees = boosted.n_trees;
  result.recipe.n_sweeps = boosted.n_sweeps;
  return result;
}

ChosenLambda judge(const Attempt& attempt, const TreeProblem& problem, Progress& progress) {
  const Codes codes = encode_all(attempt.trees, attempt.rows, problem.n_threads);
  const LeafSums sums = sum_leaves(codes, int64_t{1} << problem.depth, attempt.rows, problem.n_threads);
  const RowsF validation = problem.samples.validation();
  const Codes validation_codes = encode_all(attempt.trees, validation, problem.n_threads);
  return choose_lambda(sums, problem.b, validation_codes, validation, problem.n_threads, progress);
}

}  // namespace

void check_objective(const std::string& name) {
  if (name == "mse" || name == "argmax" || name == "reconstruction") return;
  throw InvalidArgument(message("objective is \"", name, "\"; allowed: \"mse\", \"argmax\", \"reconstruction\""));
}

ChosenTrees choose_trees(const std::string& objective, const TreeProblem& problem, Progress& progress) {
  const Samples& samples = problem.samples;
  std::optional<Attempt> best;
  ChosenLambda least;
  for (const Recipe& recipe : recipes(objective, problem)) {
    Attempt tried = attempt(recipe, samples.fit(), samples.validation(), problem, progress);
    const ChosenLambda judged = judge(tried, problem, progress);
    if (getenv("MDEBUG")) fprintf(stderr, "kind %d noise %g trees %ld sweeps %ld lambda %g error %g\n", (int)recipe.kind, recipe.noise, (long)tried.recipe.n_trees, (long)tried.recipe.n_sweeps, judged.lambda, judged.error);
    if (best && judged.error >= least.error) continue;
    best = std::move(tried);
    least = judged;
  }
  if (has_few_rows(problem)) {
    best = attempt(best->recipe, samples.training(), samples.training().topRows(0), problem, progress);
  } else {
    best->rows = samples.training();
  }
  return {std::move(best->trees), std::move(best->rows), least.lambda, least.error};
}

int64_t tree_steps(const std::string& objective, const TreeProblem& problem) {
  int64_t steps = 0, longest = 0;
  for (const Recipe& recipe : recipes(objective, problem)) {
    const bool boosted = recipe.kind == Recipe::Trees::kBoosted;
    const int64_t own = boosted ? boost_steps(boost_options(recipe, problem)) : problem.n_codebooks;
    steps += own;
    longest = std::max(longest, own);
  }
  return steps + (has_few_rows(problem) ? longest : 0);
}

}  // namespace mithral::train_internal
