// The closed set of encoders: what turns a row into one code per codebook. Each alternative has its contract in its own
// header. What must be said of each is asked for by functions that are overloaded for all of them and called by
// std::visit, so that a missing case does not compile: reference.cpp (codes by plain loops), model.cpp (sizes) and
// encode/encoder_lowering.cpp (columns, input types, cost, words, program).
#pragma once

#include <variant>

#include "codegen/model/given_codes.h"
#include "codegen/model/hash_trees.h"

namespace mithral {

using Encoder = std::variant<HashTrees, GivenCodes>;

}  // namespace mithral
