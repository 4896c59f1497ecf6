// Real-valued tables -> uint8 tables, one scale and one offset per output.
#pragma once

#include <span>
#include <vector>

#include "train/codes.h"
#include "train/matrix.h"
#include "train/ridge.h"

namespace mithral::train_internal {

struct QuantizedLut {
  std::vector<uint8_t> lut;   // (C, K, M)
  std::vector<float> scale;   // (M)
  std::vector<float> offset;  // (M), bias included
};

// An output's scale spans the widest of its codebooks with 0 to max_entry; each codebook counts from its own least
// entry, and those minima go into the offset. No entry is off by more than scale / 2. An output that no code
// changes gets scale 1 and tables of zeros. Throws InvalidArgument when an output can leave the range of float32.
QuantizedLut quantize_lut(const RealTables& tables, std::span<const float> bias, int max_entry);

// The same, with the steps between entries given, (M): an entry is at most max_entry all the same.
QuantizedLut quantize_lut(const RealTables& tables, std::span<const float> bias, int max_entry,
                          const Eigen::RowVectorXd& steps);

// The widest span of any codebook's entries, per output.
Eigen::RowVectorXd entry_spans(const RealTables& tables);

// Throws InvalidArgument unless float32 holds an output of up to `largest_product` and `offset`, and all steps to it.
void check_reach(int64_t output, double largest_product, double offset);

// Rows that rounding is judged on, and their exact outputs without the bias.
struct RoundingRows {
  Codes codes;
  MatrixD exact;  // (n, M)
};

struct ChosenEntries {
  int max_entry = 255;  // 63, 127 or 255
  double rise = 0;      // in squared error by rounding to it, as a share of the error without
};

// The smallest largest-entry whose rounding raises the squared error by no more than the share `tolerance`; 255 if none
// does. Kernels add entries up to 63 in fours, and entries up to 127 in pairs, before they widen a byte sum; entries up
// to 255 one by one.
ChosenEntries choose_entries(const RealTables& tables, const RoundingRows& rows, double tolerance);

}  // namespace mithral::train_internal
