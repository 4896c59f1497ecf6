#include "train/learn_parts.h"
#include "train/train.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "codegen/model/error.h"
#include "train/objective.h"
#include "train/samples.h"

namespace mithral {
namespace {

using namespace train_internal;

void check_finite(const char* name, MatrixView<const float> matrix) {
  for (int64_t i = 0; i < matrix.rows; ++i) {
    for (int64_t j = 0; j < matrix.cols; ++j) {
      if (std::isfinite(matrix(i, j))) continue;
      throw InvalidArgument(message(name, "[", i, ", ", j, "] is ", matrix(i, j), "; every value must be finite"));
    }
  }
}

void check_shapes(MatrixView<const float> a, MatrixView<const float> b, std::span<const float> bias) {
  if (a.cols != b.rows) {
    throw InvalidArgument(message("A has ", a.cols, " columns but B has ", b.rows, " rows; the two must be equal"));
  }
  if (!bias.empty() && static_cast<int64_t>(bias.size()) != b.cols) {
    throw InvalidArgument(message("bias has ", bias.size(), " values but B has ", b.cols,
                                  " columns; allowed: one value per column, or none at all"));
  }
  check_range("the number of rows of A", a.rows, kMinRows, std::numeric_limits<int32_t>::max());
  check_range("the number of columns of A", a.cols, 1, HashTrees::kMaxFeatures);
  check_range("the number of columns of B", b.cols, 1, Tables::kMaxOutputs);
}

void check_latents(const TrainOptions& options, int64_t n_features, int64_t n_outputs) {
  check_range("n_latents", options.n_latents, 0, std::min({LinearDims::kMaxTrainedLatents, n_features, n_outputs}));
  if (options.n_latents == 0) return;
  check_range("latent_dims", options.latent_dims, 1, LinearDims::kMaxDims);
  if (options.n_codebooks == 0) return;
  throw InvalidArgument(message("n_codebooks is ", options.n_codebooks, " beside latents; allowed: 0"));
}

void check_mixture(const Mixture& mixture, int64_t n_features) {
  check_range("n_codebooks", mixture.n_codebooks, 0, Tables::kMaxCodebooks);
  check_range("n_linear", mixture.n_linear, 0, std::min(n_features, LinearDims::kMaxDims));
}

}  // namespace

namespace train_internal {

void check_options(const TrainOptions& options, int64_t n_features, int64_t n_outputs) {
  check_mixture({options.n_codebooks, options.n_linear}, n_features);
  check_latents(options, n_features, n_outputs);
  if (options.n_codebooks == 0 && options.n_linear == 0 && options.n_latents == 0) {
    throw InvalidArgument("n_codebooks, n_linear and n_latents are 0; allowed: at least one of either");
  }
  check_range("depth", options.depth, 1, HashTrees::kMaxDepth);
  check_range("threads", options.n_threads, 1, 1024);
  find_objective(options.objective);
  if (options.layout != "column" && options.layout != "row") {
    throw InvalidArgument(message("layout is \"", options.layout, "\"; allowed: \"column\", \"row\""));
  }
  if (!(options.rounding_tolerance >= 0 && options.rounding_tolerance <= 1)) {
    throw InvalidArgument(message("rounding_tolerance is ", options.rounding_tolerance, "; allowed: 0 to 1"));
  }
  const int64_t bytes = Tables::laid_out_bytes(options.n_codebooks, int64_t{1} << options.depth, n_outputs);
  if (bytes > Tables::kMaxLaidOutBytes) {
    throw InvalidArgument(message("the tables of ", options.n_codebooks, " codebooks for ", n_outputs, " outputs take ",
                                  bytes, " bytes; allowed: up to ", Tables::kMaxLaidOutBytes));
  }
}

}  // namespace train_internal

void check_train_arguments(MatrixView<const float> a, MatrixView<const float> b, std::span<const float> bias,
                           const TrainOptions& options) {
  check_shapes(a, b, bias);
  train_internal::check_options(options, a.cols, b.cols);
  if (options.mixtures) {
    const std::vector<Mixture> mixtures = options.mixtures(std::nullopt);
    if (mixtures.empty()) throw InvalidArgument("mixtures are none; allowed: one or more");
    for (const Mixture& mixture : mixtures) {
      train_internal::check_options(train_internal::with(options, mixture), a.cols, b.cols);
    }
  }
  check_finite("A", a);
  check_finite("B", b);
  for (size_t m = 0; m < bias.size(); ++m) {
    if (!std::isfinite(bias[m])) {
      throw InvalidArgument(message("bias[", m, "] is ", bias[m], "; every value must be finite"));
    }
  }
}

}  // namespace mithral
