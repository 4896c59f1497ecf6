#include "train/fit_tables.h"

#include <algorithm>

namespace mithral::train_internal {

ClassFit choose_class_fit(const LearnedEncoder& tried, const TableProblem& problem, Progress& progress) {
  const CodedRows learned{tried.rows, tried.encode(tried.rows)};
  const EntrySums sums = sum_by_entry(learned, tried.n_entries, problem.n_threads);
  const RealTables tables = solve(sums, problem.b, tried.lambda, problem.n_threads);
  const RowsF validation = problem.samples.validation();
  const MatrixF judging = make_judging_rows(validation);
  return choose_class_fit(tables, learned, {judging, tried.encode(judging)}, validation.rows(), problem.b, problem.bias,
                          problem.n_threads, progress);
}

RealTables fit_tables(const LearnedEncoder& encoder, const ClassFit& class_fit, const TableProblem& problem,
                      Progress& progress) {
  const Samples& samples = problem.samples;
  const CodedRows learned{encoder.rows, encoder.encode(encoder.rows)};
  EntrySums sums = sum_by_entry(learned, encoder.n_entries, problem.n_threads);
  for (int64_t block = 0; samples.counts().streamed > 0 && block < samples.n_blocks(); ++block) {
    const MatrixF rows = samples.streamed_rows(block);
    sums.add({rows, encoder.encode(rows)}, problem.n_threads);
    progress.poll();
  }
  const RealTables tables = solve(sums, problem.b, encoder.lambda, problem.n_threads);
  return fit_class_probabilities(tables, learned, class_fit, problem.b, problem.bias, problem.n_threads, progress);
}

RoundingRows make_rounding_rows(const LearnedEncoder& encoder, const TableProblem& problem) {
  constexpr int64_t kEnoughRows = 1000;
  const RowsF training = problem.samples.training();
  const RowsF rows = training.bottomRows(std::min(training.rows(), kEnoughRows));
  return {encoder.encode(rows), rows.cast<double>() * problem.b};
}

}  // namespace mithral::train_internal
