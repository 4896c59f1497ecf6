// How linear dims are quantised, and rows by them.
#pragma once

#include <vector>

#include "codegen/model/linear_dims.h"
#include "train/matrix.h"

namespace mithral::train_internal {

struct DimSteps {
  std::vector<int32_t> dims;        // (S)
  std::vector<float> inverse_step;  // (S)
  std::vector<float> zero;          // (S)
};

// Steps with the least squared error over the rows: fine ones cut off what is far out. Dims whose values do not differ,
// or differ by too little for float32, are left out.
DimSteps choose_steps(const RowsF& rows, const std::vector<int32_t>& dims);

// (n, S): the quantised values, 0 to 127.
MatrixF quantise_rows(const DimSteps& steps, const RowsF& rows);

}  // namespace mithral::train_internal
