// Objective "argmax": entries and weights that give rows the exact product's class probabilities, instead of its
// values.
#pragma once

#include <span>

#include "train/codes.h"
#include "train/linear/fit_linear.h"
#include "train/progress.h"
#include "train/ridge.h"

namespace mithral::train_internal {

// The parts that give classes, either of which may be none. A row's outputs are the mean, an entry of every codebook,
// and its dims, less their means, times the weights.
struct ClassParts {
  RealTables tables;
  RealLinear linear;
};

// How they are fitted to class probabilities.
struct ClassFit {
  double temperature = 0;  // of the probabilities; 0: parts stay as they are
  int n_steps = 0;
};

// Minimises the cross-entropy between softmax(exact / t) and softmax(approximate / t) over the entries, the weights and
// the mean, from the given ones on, by Adam (Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015) on
// all rows at once, as far as they have 2^22 outputs. `bias` (M) or nothing shifts the exact ones.
ClassParts fit_class_probabilities(ClassParts parts, const CodedRows& rows, const ClassFit& how, const MatrixD& b,
                                   std::span<const float> bias, int64_t n_threads, Progress& progress);

// Rows that judge parts: the validation rows; few are filled up with made-up ones around each in turn, because how
// often the argmax is right near a row says more than whether it is right at the row.
MatrixF make_judging_rows(const RowsF& validation);

// The temperature and the number of steps with the most judging rows of equal argmax (then the least squared difference
// of probabilities), starting from parts fitted to the `learned` rows; none where chance explains the gain. Neither
// codes nor parts may have been fitted to the validation rows: over-fitting would pass for a gain.
ClassFit choose_class_fit(const ClassParts& parts, const CodedRows& learned, const CodedRows& judging,
                          int64_t n_validation_rows, const MatrixD& b, std::span<const float> bias, int64_t n_threads,
                          Progress& progress);

inline constexpr int64_t kClassFitSteps = 3;  // progress steps of the choice: one per temperature

}  // namespace mithral::train_internal
