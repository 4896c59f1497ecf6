// Epilogues: what becomes of a sum of table entries, and of linear dims.
#pragma once

#include "codegen/model/activation.h"
#include "codegen/model/tables.h"
#include "codegen/program/program_builder.h"

namespace mithral::codegen {

enum class Epilogue {
  kSum,         // int32: the sum
  kScaled,      // float32: sum * scale + offset
  kScaledRelu,  // float32: the same, and where it is not above 0, +0
};

// Whether outputs are float32, sums times scales.
constexpr bool is_scaled(Epilogue epilogue) { return epilogue != Epilogue::kSum; }

// The epilogue of float32 outputs.
Epilogue epilogue_of(Activation activation);

// 2^23: the float32 values from here to 2^24 are the integers, and their low 23 bits are what they exceed 2^23 by.
inline constexpr float kFloatBias = 8388608.0f;

// Features that products of sums in the low bits of 2^23 need.
inline constexpr FeatureSet kBiasedSumsNeed = {Feature::kWordBlends, Feature::kFusedProducts};

// Whether
//
//     (2^23 + sum) * scale - 2^23 * scale                 rounded once
//
// serves as the float32 product of a sum of table entries and a scale, for every output. Sums are 0 to 2^23 - 1, as
// 16-bit ones are. It is the same number that is rounded, if 2^23 * scale is finite. Where it is zero it is +0 while
// the product may be -0, and that shows where the offset is -0.
bool biased_products_are_exact(const Tables& tables);

// The activation, which follows the scaling.
Vreg activate(ProgramBuilder& b, Epilogue epilogue, Vreg scaled);

}  // namespace mithral::codegen
