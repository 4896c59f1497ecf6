#include "codegen/model/reference.h"

#include "codegen/model/error.h"
#include "codegen/model/float_environment.h"

namespace mithral {
namespace {

void check_columns(const char* name, int64_t cols, int64_t expected) {
  if (cols == expected) return;
  throw InvalidArgument(message(name, " has ", cols, " columns; the model expects ", expected));
}

template <typename T>
void check_result(const char* name, MatrixView<T> result, int64_t rows, int64_t cols) {
  if (result.rows == rows && result.cols == cols) return;
  throw InvalidArgument(
      message(name, " has shape (", result.rows, ", ", result.cols, "); expected (", rows, ", ", cols, ")"));
}

int64_t leaf_of_row(const HashTrees& trees, int64_t codebook, MatrixView<const float> x, int64_t row) {
  int64_t node = 0;
  for (int64_t level = 0; level < trees.depth(); ++level) {
    const bool right = x(row, trees.split_dim(codebook, level)) > trees.threshold(codebook, level, node);
    node = 2 * node + (right ? 1 : 0);
  }
  return node;
}

void encode(const HashTrees& trees, MatrixView<const float> x, MatrixView<uint8_t> codes) {
  check_columns("X", x.cols, trees.n_features());
  check_result("codes", codes, x.rows, trees.n_codebooks());
  const DefaultFloatEnvironment ieee;
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t c = 0; c < trees.n_codebooks(); ++c) {
      codes(row, c) = static_cast<uint8_t>(leaf_of_row(trees, c, x, row));
    }
  }
}

void encode(const GivenCodes&, MatrixView<const float>, MatrixView<uint8_t>) {
  throw InvalidArgument("the model's codes come from the caller: there is nothing to encode rows with");
}

// The step in float32 that ends it.
void scale_sums(const Tables& tables, MatrixView<const int32_t> sums, MatrixView<float> y) {
  const DefaultFloatEnvironment ieee;
  for (int64_t row = 0; row < y.rows; ++row) {
    for (int64_t m = 0; m < y.cols; ++m) {
      const float scaled = static_cast<float>(sums(row, m)) * tables.scale()[m];
      y(row, m) = scaled + tables.offset()[m];
    }
  }
}

std::vector<uint8_t> codes_of(const Model& model, MatrixView<const float> x) {
  std::vector<uint8_t> codes(x.rows * model.n_codebooks());
  reference_codes(model.encoder(), x, row_major(codes.data(), x.rows, model.n_codebooks()));
  return codes;
}

}  // namespace

void reference_codes(const Encoder& encoder, MatrixView<const float> x, MatrixView<uint8_t> codes) {
  std::visit([&](const auto& kind) { encode(kind, x, codes); }, encoder);
}

void check_codes(MatrixView<const uint8_t> codes, int64_t n_entries) {
  for (int64_t row = 0; row < codes.rows; ++row) {
    for (int64_t c = 0; c < codes.cols; ++c) {
      if (codes(row, c) < n_entries) continue;
      throw InvalidArgument(message("codes[", row, ", ", c, "] is ", int{codes(row, c)}, "; codebook ", c,
                                    " allows: 0 to ", n_entries - 1));
    }
  }
}

void reference_sums(const Tables& tables, MatrixView<const uint8_t> codes, MatrixView<int32_t> sums) {
  check_columns("codes", codes.cols, tables.n_codebooks());
  check_result("out", sums, codes.rows, tables.n_outputs());
  check_codes(codes, tables.n_entries());
  for (int64_t row = 0; row < codes.rows; ++row) {
    for (int64_t m = 0; m < tables.n_outputs(); ++m) sums(row, m) = 0;
    for (int64_t c = 0; c < tables.n_codebooks(); ++c) {
      const uint8_t* entries = tables.entries(c, codes(row, c));
      for (int64_t m = 0; m < tables.n_outputs(); ++m) sums(row, m) += entries[m];
    }
  }
}

void reference_outputs(const Tables& tables, MatrixView<const uint8_t> codes, MatrixView<float> y) {
  check_result("out", y, codes.rows, tables.n_outputs());
  std::vector<int32_t> sums(codes.rows * tables.n_outputs());
  reference_sums(tables, codes, row_major(sums.data(), codes.rows, tables.n_outputs()));
  scale_sums(tables, row_major<const int32_t>(sums.data(), codes.rows, tables.n_outputs()), y);
}

void reference_linear_sums(const LinearDims& linear, MatrixView<const float> x, MatrixView<int32_t> sums) {
  check_columns("X", x.cols, linear.n_features());
  check_result("out", sums, x.rows, linear.n_outputs());
  std::vector<float> latents(x.rows * linear.n_latents());
  if (linear.latents()) reference(*linear.latents(), x, row_major(latents.data(), x.rows, linear.n_latents()));
  const DefaultFloatEnvironment ieee;
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t m = 0; m < sums.cols; ++m) sums(row, m) = 0;
    for (int64_t s = 0; s < linear.n_columns(); ++s) {
      const int32_t q = quantise(x(row, linear.dims()[s]), linear.inverse_step()[s], linear.zero()[s]);
      for (int64_t m = 0; m < sums.cols; ++m) sums(row, m) += q * linear.weights_of(s)[m];
    }
    for (int64_t j = 0; j < linear.n_latents(); ++j) {
      const int32_t q = quantise(latents[row * linear.n_latents() + j], 1, 0);
      for (int64_t m = 0; m < sums.cols; ++m) sums(row, m) += q * linear.weights_of(linear.n_columns() + j)[m];
    }
  }
}

void reference_sums(const Model& model, MatrixView<const float> x, MatrixView<int32_t> sums) {
  const std::vector<uint8_t> codes = codes_of(model, x);
  reference_sums(model.tables(), row_major<const uint8_t>(codes.data(), x.rows, model.n_codebooks()), sums);
  if (model.linear().empty()) return;
  std::vector<int32_t> linear(x.rows * model.n_outputs());
  reference_linear_sums(model.linear(), x, row_major(linear.data(), x.rows, model.n_outputs()));
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t m = 0; m < sums.cols; ++m) {
      sums(row, m) = (sums(row, m) << model.linear().shift()) + linear[row * model.n_outputs() + m];
    }
  }
}

void reference(const Model& model, MatrixView<const float> x, MatrixView<float> y) {
  check_result("out", y, x.rows, model.n_outputs());
  std::vector<int32_t> sums(x.rows * model.n_outputs());
  reference_sums(model, x, row_major(sums.data(), x.rows, model.n_outputs()));
  scale_sums(model.tables(), row_major<const int32_t>(sums.data(), x.rows, model.n_outputs()), y);
}

}  // namespace mithral
