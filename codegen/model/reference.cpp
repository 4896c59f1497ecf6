#include "codegen/model/reference.h"

#include "codegen/model/error.h"
#include "codegen/model/float_environment.h"

namespace mithral {
namespace {

int64_t leaf_of_row(const Model& model, int64_t codebook, MatrixView<const float> x, int64_t row) {
  int64_t node = 0;
  for (int64_t level = 0; level < model.depth(); ++level) {
    const bool right = x(row, model.split_dim(codebook, level)) > model.threshold(codebook, level, node);
    node = 2 * node + (right ? 1 : 0);
  }
  return node;
}

void check_shapes(const Model& model, MatrixView<const float> x, const char* result, int64_t rows, int64_t cols,
                  int64_t expected_cols) {
  if (x.cols != model.n_features()) {
    throw InvalidArgument(message("X has ", x.cols, " columns; the model expects ", model.n_features()));
  }
  if (rows != x.rows || cols != expected_cols) {
    throw InvalidArgument(
        message(result, " has shape (", rows, ", ", cols, "); expected (", x.rows, ", ", expected_cols, ")"));
  }
}

}  // namespace

void reference_encode(const Model& model, MatrixView<const float> x, MatrixView<uint8_t> codes) {
  check_shapes(model, x, "codes", codes.rows, codes.cols, model.n_codebooks());
  const DefaultFloatEnvironment ieee;
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t c = 0; c < model.n_codebooks(); ++c) {
      codes(row, c) = static_cast<uint8_t>(leaf_of_row(model, c, x, row));
    }
  }
}

void reference(const Model& model, MatrixView<const float> x, MatrixView<float> y) {
  check_shapes(model, x, "out", y.rows, y.cols, model.n_outputs());
  const DefaultFloatEnvironment ieee;
  std::vector<int32_t> acc(model.n_outputs());
  for (int64_t row = 0; row < x.rows; ++row) {
    acc.assign(acc.size(), 0);
    for (int64_t c = 0; c < model.n_codebooks(); ++c) {
      const int64_t leaf = leaf_of_row(model, c, x, row);
      for (int64_t m = 0; m < model.n_outputs(); ++m) acc[m] += model.lut(c, leaf, m);
    }
    for (int64_t m = 0; m < model.n_outputs(); ++m) {
      const float scaled = static_cast<float>(acc[m]) * model.arrays().scale[m];
      y(row, m) = scaled + model.arrays().offset[m];
    }
  }
}

}  // namespace mithral
