#include "train/quantize_lut.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "codegen/error.h"

namespace mithral::train_internal {
namespace {

constexpr double kMaxEntry = 255;

// The largest magnitude that float(acc) * scale, the offset, or their sum can take.
double largest_value(double scale, double offset, double largest_sum) {
  return std::max({std::abs(offset), scale * largest_sum, std::abs(scale * largest_sum + offset)});
}

}  // namespace

QuantizedLut quantize_lut(const LeafOutputs& outputs, std::span<const float> bias) {
  const int64_t n_outputs = outputs.entries.cols();
  const int64_t n_leaves = outputs.n_leaves;
  const int64_t n_codebooks = outputs.entries.rows() / n_leaves;
  QuantizedLut quantized;
  quantized.lut.resize(outputs.entries.size());
  quantized.scale.resize(n_outputs);
  quantized.offset.resize(n_outputs);

  for (int64_t m = 0; m < n_outputs; ++m) {
    const Eigen::VectorXd column = outputs.entries.col(m);
    const Eigen::Map<const Eigen::MatrixXd> entries(column.data(), n_leaves, n_codebooks);
    const Eigen::RowVectorXd least = entries.colwise().minCoeff();
    const double range = (entries.colwise().maxCoeff() - least).maxCoeff();
    const double offset = outputs.mean[m] + (bias.empty() ? 0.0 : bias[m]) + least.sum();
    if (const double reach = largest_value(range / kMaxEntry, offset, kMaxEntry * static_cast<double>(n_codebooks));
        !(reach <= std::numeric_limits<float>::max())) {
      throw InvalidArgument(message("output ", m, " can reach ", reach, ", but float32 ends at ",
                                    std::numeric_limits<float>::max(), "; scale A, B or the bias down"));
    }
    const auto scale = static_cast<float>(range / kMaxEntry);
    const bool constant = scale < std::numeric_limits<float>::min();
    quantized.scale[m] = constant ? 1.0f : scale;
    quantized.offset[m] = static_cast<float>(offset);
    for (int64_t c = 0; c < n_codebooks && !constant; ++c) {
      for (int64_t k = 0; k < n_leaves; ++k) {
        const double steps = std::round((entries(k, c) - least[c]) / scale);
        quantized.lut[(c * n_leaves + k) * n_outputs + m] = static_cast<uint8_t>(std::min(steps, kMaxEntry));
      }
    }
  }
  return quantized;
}

}  // namespace mithral::train_internal
