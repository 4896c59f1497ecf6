#include "codegen/model/model.h"

#include <cmath>

#include "codegen/model/error.h"
#include "codegen/model/float_environment.h"

namespace mithral {
namespace {

void check_length(const char* array, size_t length, int64_t expected, const char* shape) {
  if (length != static_cast<size_t>(expected)) {
    throw BadModel(message(array, " has ", length, " entries; expected ", expected, " for shape ", shape));
  }
}

void check_sizes(const ModelArrays& a) {
  check_range<BadModel>("n_features (D)", a.n_features, 1, Model::kMaxFeatures);
  check_range<BadModel>("n_outputs (M)", a.n_outputs, 1, Model::kMaxOutputs);
  check_range<BadModel>("n_codebooks (C)", a.n_codebooks, 1, Model::kMaxCodebooks);
  check_range<BadModel>("depth (L)", a.depth, 1, Model::kMaxDepth);

  const int64_t table_bytes = Model::table_bytes(a.n_codebooks, a.n_outputs, a.depth);
  if (table_bytes > Model::kMaxTableBytes) {
    throw BadModel(message("the tables of ", a.n_codebooks, " codebooks of depth ", a.depth, " and ", a.n_outputs,
                           " outputs take ", table_bytes, " bytes; allowed: up to ", Model::kMaxTableBytes));
  }
  const int64_t leaves = int64_t{1} << a.depth;
  check_length("split_dims", a.split_dims.size(), a.n_codebooks * a.depth, "(C, L)");
  check_length("thresholds", a.thresholds.size(), a.n_codebooks * (leaves - 1), "(C, 2**L - 1)");
  check_length("lut", a.lut.size(), a.n_codebooks * leaves * a.n_outputs, "(C, 2**L, M)");
  check_length("scale", a.scale.size(), a.n_outputs, "(M,)");
  check_length("offset", a.offset.size(), a.n_outputs, "(M,)");
}

void check_finite(const char* array, const std::vector<float>& values) {
  for (size_t m = 0; m < values.size(); ++m) {
    if (!std::isfinite(values[m])) {
      throw BadModel(message(array, "[", m, "] is ", values[m], "; allowed: finite values"));
    }
  }
}

void check_values(const ModelArrays& a) {
  for (size_t i = 0; i < a.split_dims.size(); ++i) {
    if (a.split_dims[i] < 0 || a.split_dims[i] >= a.n_features) {
      throw BadModel(message("split_dims[", i / a.depth, ", ", i % a.depth, "] is ", a.split_dims[i],
                             "; allowed: 0 to ", a.n_features - 1, " (n_features - 1)"));
    }
  }
  const int64_t nodes = (int64_t{1} << a.depth) - 1;
  for (size_t i = 0; i < a.thresholds.size(); ++i) {
    if (std::isnan(a.thresholds[i])) {
      throw BadModel(message("thresholds[", i / nodes, ", ", i % nodes,
                             "] is NaN; allowed: any number, or +inf where a node never splits"));
    }
  }
  check_finite("scale", a.scale);
  check_finite("offset", a.offset);
}

}  // namespace

Model::Model(ModelArrays arrays, Report report) : report_(std::move(report)) {
  check_sizes(arrays);
  check_values(arrays);
  arrays_ = std::make_shared<const ModelArrays>(std::move(arrays));
}

Model with_bias(const Model& model, std::span<const float> bias) {
  const DefaultFloatEnvironment ieee;
  if (static_cast<int64_t>(bias.size()) != model.n_outputs()) {
    throw InvalidArgument(
        message("bias has shape (", bias.size(), ",); expected (", model.n_outputs(), ",), one value for each output"));
  }
  ModelArrays arrays = model.arrays();
  for (size_t m = 0; m < bias.size(); ++m) {
    const float sum = arrays.offset[m] + bias[m];
    if (!std::isfinite(sum)) {
      throw InvalidArgument(message("bias[", m, "] is ", bias[m], ", which makes the offset ", sum,
                                    "; allowed: finite values with a finite sum"));
    }
    arrays.offset[m] = sum;
  }
  return Model(std::move(arrays), model.report());
}

}  // namespace mithral
