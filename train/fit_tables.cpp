#include "train/fit_tables.h"

#include <algorithm>

namespace mithral::train_internal {

RealTables fit_tables_to_learned(const LearnedEncoder& encoder, const TableProblem& problem) {
  const CodedRows learned{encoder.rows, encoder.encode(encoder.rows)};
  return solve(sum_by_entry(learned, encoder.n_entries, problem.n_threads), problem.b, encoder.lambda,
               problem.n_threads);
}

RealTables fit_tables(const LearnedEncoder& encoder, const TableProblem& problem, Progress& progress) {
  const Samples& samples = problem.samples;
  EntrySums sums = sum_by_entry({encoder.rows, encoder.encode(encoder.rows)}, encoder.n_entries, problem.n_threads);
  for (int64_t block = 0; samples.counts().streamed > 0 && block < samples.n_blocks(); ++block) {
    const MatrixF rows = samples.streamed_rows(block);
    sums.add({rows, encoder.encode(rows)}, problem.n_threads);
    progress.poll();
  }
  return solve(sums, problem.b, encoder.lambda, problem.n_threads);
}

RoundingRows make_rounding_rows(const LearnedEncoder& encoder, const TableProblem& problem) {
  constexpr int64_t kEnoughRows = 1000;
  const RowsF training = problem.samples.training();
  const RowsF rows = training.bottomRows(std::min(training.rows(), kEnoughRows));
  return {encoder.encode(rows), rows.cast<double>() * problem.b};
}

}  // namespace mithral::train_internal
