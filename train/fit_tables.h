// Tables for the codes of an encoder, whichever kind it is.
#pragma once

#include <functional>
#include <span>

#include "train/codes.h"
#include "train/progress.h"
#include "train/quantize_lut.h"
#include "train/ridge.h"
#include "train/samples.h"

namespace mithral::train_internal {

// What tables need to know of an encoder that was learned.
struct LearnedEncoder {
  std::function<Codes(const RowsF& rows)> encode;
  int64_t n_entries;  // K
  RowsF rows;         // (n, D) that tables are fitted to: those learned from, made-up ones among them
  double lambda;      // the ridge penalty
};

struct TableProblem {
  const Samples& samples;
  const MatrixD& b;             // (D, M)
  std::span<const float> bias;  // (M) or nothing
  int64_t n_threads;
};

// The tables that fit the encoder's rows and all that are streamed best.
RealTables fit_tables(const LearnedEncoder& encoder, const TableProblem& problem, Progress& progress);

// The same of the encoder's rows alone.
RealTables fit_tables_to_learned(const LearnedEncoder& encoder, const TableProblem& problem);

// Some of the rows for training, for choose_entries: all that counts is how the error by rounding compares with the
// error already there.
RoundingRows make_rounding_rows(const LearnedEncoder& encoder, const TableProblem& problem);

}  // namespace mithral::train_internal
