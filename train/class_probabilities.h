// Tables for objective "argmax": entries that give rows the exact product's class probabilities, instead of its values.
#pragma once

#include <span>

#include "train/codes.h"
#include "train/progress.h"
#include "train/ridge.h"

namespace mithral::train_internal {

// How tables are fitted to class probabilities.
struct ClassFit {
  double temperature = 0;  // of the probabilities; 0: tables stay as they are
  int n_steps = 0;
};

// Minimises the cross-entropy between softmax(exact / t) and softmax(approximate / t) over the entries and the mean,
// from the given tables on, by Adam (Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015) on all rows
// at once. `bias` (M) or nothing shifts the exact outputs.
RealTables fit_class_probabilities(const RealTables& tables, const CodedRows& rows, const ClassFit& how,
                                   const MatrixD& b, std::span<const float> bias, int64_t n_threads,
                                   Progress& progress);

// Rows that judge tables: the validation rows; few are filled up with made-up ones around each in turn, because how
// often the argmax is right near a row says more than whether it is right at the row.
MatrixF make_judging_rows(const RowsF& validation);

// The temperature and the number of steps with the most judging rows of equal argmax (then the least squared difference
// of probabilities), starting from tables fitted to the `learned` rows; none where chance explains the gain. Neither
// codes nor tables may have been fitted to the validation rows: over-fitting would pass for a gain.
ClassFit choose_class_fit(const RealTables& tables, const CodedRows& learned, const CodedRows& judging,
                          int64_t n_validation_rows, const MatrixD& b, std::span<const float> bias, int64_t n_threads,
                          Progress& progress);

inline constexpr int64_t kClassFitSteps = 3;  // progress steps of the choice: one per temperature

}  // namespace mithral::train_internal
