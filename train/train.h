// Sample rows and a fixed matrix -> Model.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codegen/model/matrix_view.h"
#include "codegen/model/mixture.h"
#include "codegen/model/model.h"

namespace mithral {

struct TrainOptions {
  int64_t n_codebooks = 16;  // C, 0 to Tables::kMaxCodebooks
  int64_t n_linear = 0;      // S, 0 to D; C or S may be 0, not both without latents
  int64_t n_latents = 0;  // r, 0 to 512, D and M; with some there are no codebooks, and S is rounded up to whole fours
  int64_t latent_dims = 64;  // linear dims that latents are made of, if there are as many columns

  // If given: mixtures of which the one with the least error on validation rows is C, S and r. The first is trees
  // alone, which are tried first; the others are asked for again with what these read.
  std::function<std::vector<Mixture>(const std::optional<TreesRead>&)> mixtures = {};

  int64_t depth = 4;              // L, 1 to HashTrees::kMaxDepth
  std::string objective = "mse";  // "mse", "argmax" or "reconstruction"; see below
  std::string layout = "column";  // "row": splits prefer columns in cache lines of a row-major row that are read anyway
  double rounding_tolerance = 0.01;  // share by which rounding to smaller table entries may raise the squared error
  uint64_t seed = 0;      // decides which rows are held out and made up; inputs and seed alone decide the result
  int64_t n_threads = 1;  // 1 to 1024; changes the time, never the result

  // Called on the calling thread with (steps done, steps in all) as training advances; an exception thrown from it
  // stops training and reaches the caller.
  std::function<void(int64_t done, int64_t total)> progress = {};
};

// Learns a model of x -> x B + bias from the sample rows `a` (n, D), the matrix `b` (D, M) and the optional `bias` (M).
//
// Objectives: "mse", the squared error of the outputs; "argmax", the same trees and columns with tables and weights for
// which the largest output is more often that of the exact product, at some cost in squared error; "reconstruction",
// trees that are learned to tell apart the rows of A, each on columns of its own, much as published.
//
// Latents (n_latents) come first: the leading principal directions of the outputs, as a model of linear dims of its
// own. All outputs are made of them, and of linear dims that are selected for what they leave.
//
// Linear dims (n_linear) are selected first, columns one by one, or with layout "row" whole cache lines; trees are
// learned for what they leave. Then tables and weights are fitted in turns. Constant columns are never selected but
// with their line, so there may be fewer; and at most 8,192 are taken.
//
// Of several mixtures (codegen/plan/mixtures.h: those that take as long), each is tried without the validation rows,
// and the best is learned from all rows. Without validation rows it is the first.
//
// layout "row" gives up at most 5 % of error on validation rows, as far as a trial on some of the rows can tell.
//
// Report keys, measured on rows that took no part in training: "nmse" (squared error over the outputs' variance),
// "r2" (1 - nmse), "argmax_agreement" (share of rows whose largest output is the exact product's), "n_holdout". And
// about the model: "n_train" (rows learned from), "lambda" (the ridge penalty), "line_tolerance" (the share of a
// split's gain given up for fewer cache lines), "cache_lines" (64-byte lines of a row-major row that splits and linear
// dims touch), "max_entry" (of the tables: 63, 127 or 255), "rounding_rise" (the share by which rounding raised the
// squared error of rows learned from), "temperature" (of the class probabilities fitted; 0: none), "max_weight" (of the
// linear dims: 63, 127, or 0 without any), "ridge" (their penalty).
//
// Memory: trees are learned from at most 32,768 rows, 5,000 more validate choices and 10,000 more make the report.
// These are copied up to three times; all other rows are read where they lie, once, to fit the tables. Beside the
// copies: a byte per value of the rows for trees, some 128 floats per row, C 2^L D and a few C 2^L M doubles, 1000 M
// doubles, 8 bytes for each of all rows, and C more where the model is large (C 2^L > 1024).
//
// The same binary learns the same bits from the same input and seed, whatever n_threads is and on whichever x86-64 CPU:
// sums have a fixed order, random numbers and exp are the project's own, and the trainer is compiled for plain x86-64.
//
// Throws InvalidArgument for shapes that do not fit, too few rows, values that are not finite (the first is named) and
// options out of range.
Model train(MatrixView<const float> a, MatrixView<const float> b, std::span<const float> bias = {},
            const TrainOptions& options = {});

// Checks what train() checks before it starts, and does nothing else. Throws as it does.
void check_train_arguments(MatrixView<const float> a, MatrixView<const float> b, std::span<const float> bias,
                           const TrainOptions& options);

inline Model train(MatrixView<const float> a, MatrixView<const float> b, const TrainOptions& options) {
  return train(a, b, {}, options);
}

}  // namespace mithral
