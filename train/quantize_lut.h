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

// An output's scale spans the widest of its codebooks; each codebook counts from its own least entry, and those minima
// go into the offset. No entry is off by more than scale / 2. An output that no leaf changes gets scale 1 and a table
// of zeros. Throws InvalidArgument when an output can leave the range of float32.
QuantizedLut quantize_lut(const LeafOutputs& outputs, std::span<const float> bias);

}  // namespace mithral::train_internal
