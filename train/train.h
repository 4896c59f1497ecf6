// Sample rows and a fixed matrix -> Model.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "codegen/model.h"

namespace mithral {

struct TrainOptions {
  int64_t n_codebooks = 16;       // C, 1 to Model::kMaxCodebooks
  int64_t depth = 4;              // L, 1 to Model::kMaxDepth
  std::string objective = "mse";  // "mse": squared error of the outputs
  uint64_t seed = 0;              // which rows are held out; the result is a function of the inputs and the seed alone
  int64_t n_threads = 1;          // changes the time, never the result

  // Called on the calling thread with (steps done, steps in all) as training advances; an exception thrown from it
  // stops training and reaches the caller.
  std::function<void(int64_t done, int64_t total)> progress = {};
};

// Learns a model of x -> x B + bias from the sample rows `a` (n, D), the matrix `b` (D, M) and the optional `bias` (M).
//
// Report keys, measured on rows that took no part in training: "nmse" (squared error over the outputs' variance),
// "r2" (1 - nmse), "argmax_agreement" (share of rows whose largest output is the exact product's), "n_holdout",
// "n_train", "lambda" (the ridge penalty chosen).
//
// Throws InvalidArgument for shapes that do not fit, too few rows, values that are not finite (the first is named) and
// options out of range.
Model train(MatrixView<const float> a, MatrixView<const float> b, std::span<const float> bias = {},
            const TrainOptions& options = {});

inline Model train(MatrixView<const float> a, MatrixView<const float> b, const TrainOptions& options) {
  return train(a, b, {}, options);
}

}  // namespace mithral
