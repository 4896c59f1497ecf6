// Real-valued leaf outputs -> uint8 table, one scale and one offset per output.
#pragma once

#include <span>
#include <vector>

#include "train/ridge.h"

namespace mithral::train_internal {

struct QuantizedLut {
  std::vector<uint8_t> lut;   // (C, K, M)
  std::vector<float> scale;   // (M)
  std::vector<float> offset;  // (M), bias included
};

// The largest entry to quantise to: 63, 127 or 255, the least at which rounding adds no more than half a percent to
// `error_per_row`, the summed squared error that a row has already. Kernels add entries up to 63 in fours, and entries
// up to 127 in pairs, before they widen a byte sum; entries up to 255 one by one.
int choose_max_entry(const LeafOutputs& outputs, double error_per_row);

// An output's scale spans the widest of its codebooks with 0 to max_entry; each codebook counts from its own least
// entry, and those minima go into the offset. No entry is off by more than scale / 2. An output that no leaf changes
// gets scale 1 and a table of zeros. Throws InvalidArgument when an output can leave the range of float32.
QuantizedLut quantize_lut(const LeafOutputs& outputs, std::span<const float> bias, int max_entry);

}  // namespace mithral::train_internal
