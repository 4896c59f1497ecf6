#include "train/quantize_lut.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "codegen/error.h"

namespace mithral::train_internal {
namespace {

constexpr double kMaxEntry = 255;

// The kernel computes float(acc) * scale, then adds the offset: both steps, and the offset itself, must fit a float.
void check_reach(int64_t output, double largest_product, double offset) {
  const double reach = std::max({std::abs(offset), largest_product, std::abs(largest_product + offset)});
  if (reach <= std::numeric_limits<float>::max()) return;
  throw InvalidArgument(message("output ", output, " can reach ", reach, ", but float32 ends at ",
                                std::numeric_limits<float>::max(), "; scale A, B or the bias down"));
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
    const auto scale = static_cast<float>(range / kMaxEntry);
    const bool constant =
        scale < std::numeric_limits<float>::min();  // what varies is too small for a float: its middle stays
    const double base = constant ? entries.colwise().mean().sum() : least.sum();
    const double offset = outputs.mean[m] + (bias.empty() ? 0.0 : bias[m]) + base;
    quantized.scale[m] = constant ? 1.0f : scale;
    quantized.offset[m] = static_cast<float>(offset);
    double largest_sum = 0;
    for (int64_t c = 0; c < n_codebooks && !constant; ++c) {
      double largest = 0;
      for (int64_t k = 0; k < n_leaves; ++k) {
        const double steps = std::min(std::round((entries(k, c) - least[c]) / scale), kMaxEntry);
        quantized.lut[(c * n_leaves + k) * n_outputs + m] = static_cast<uint8_t>(steps);
        largest = std::max(largest, steps);
      }
      largest_sum += largest;
    }
    check_reach(m, range / kMaxEntry * largest_sum, offset);
  }
  return quantized;
}

}  // namespace mithral::train_internal
