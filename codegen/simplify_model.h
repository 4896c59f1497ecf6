// A smaller model with the same outputs: what trees and tables hold without effect on any sum is gone before anything
// is lowered.
#pragma once

#include "codegen/model/model.h"

namespace mithral::codegen {

// For any rows, NaN included, the sum of table entries of every output is the same integer as that of `model`, so
// whatever is made of it is the same to the bit. Codes are not: the result may have fewer codebooks and levels, and
// what no row gets to is not kept. So kernels that take codes from the caller, or give them away, are made of `model`
// itself. Returns `model`, sharing its arrays, where there is nothing to simplify, and of given codes.
//
// * A node whose children lead to equal subtrees, that is the same splits and the same table entries, tells no rows
//   apart: it never splits, or it takes the threshold that all others of its level share.
// * A level that never splits is gone; the model is as deep as the deepest codebook that is left.
// * Leaves that no row gets to repeat others: their entries count no more for what may be added in bytes.
// * A codebook whose table is all zeros is gone (training fills up models with them); one is left.
Model simplify_model(const Model& model);

}  // namespace mithral::codegen
