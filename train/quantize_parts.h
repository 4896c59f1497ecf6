// Real-valued tables and linear weights -> small integers over one scale and one offset per output, and one shift.
#pragma once

#include <span>
#include <vector>

#include "train/linear/fit_linear.h"
#include "train/quantize_lut.h"

namespace mithral::train_internal {

struct QuantizedParts {
  QuantizedLut lut;             // its scale is that of the sums of all parts
  std::vector<int8_t> weights;  // (S, M)
  int shift = 0;
};

// Every output's scale is as fine as its largest weight, at most max_weight, and its widest codebook, at most max_entry
// * 2^shift, allow; the shift is the one with the least error by rounding. Throws InvalidArgument when an output can
// leave the range of float32.
QuantizedParts quantize_parts(const RealTables& tables, const RealLinear& linear, std::span<const float> bias,
                              int max_entry, int max_weight);

}  // namespace mithral::train_internal
