// How linear dims are quantised, and rows by them.
#pragma once

#include <memory>
#include <vector>

#include "codegen/model/model.h"
#include "train/matrix.h"

namespace mithral::train_internal {

struct DimSteps {
  std::vector<int32_t> dims;        // (S)
  std::vector<float> inverse_step;  // (S)
  std::vector<float> zero;          // (S)
  std::shared_ptr<const Model> latents =
      nullptr;  // whose outputs are codes already, behind the dims; none: there are none

  int64_t size() const { return std::ssize(dims) + (latents ? latents->n_outputs() : 0); }
};

// Dims whose values do not differ, or differ by too little for float32: left out, or kept as 0.
enum class Constants { kLeftOut, kKept };

// Steps with the least squared error over the rows: fine ones cut off what is far out. Where all are constant, none is
// kept.
DimSteps choose_steps(const RowsF& rows, const std::vector<int32_t>& dims, Constants constants = Constants::kLeftOut);

// (n, size()): the quantised values, 0 to 127.
MatrixF quantise_rows(const DimSteps& steps, const RowsF& rows);

// (n, M), as every kernel of the model has them.
MatrixF outputs_of(const Model& model, const RowsF& rows);

}  // namespace mithral::train_internal
