#include "train/quantize_parts.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mithral::train_internal {
namespace {

// The scale of every output for a shift.
Eigen::RowVectorXd scales(const Eigen::RowVectorXd& spans, const Eigen::RowVectorXd& largest_weights, int max_entry,
                          int max_weight, int shift) {
  const double most = std::ldexp(max_entry, shift);
  return (spans / most).cwiseMax(largest_weights / max_weight);
}

// The squared error by rounding, per row, summed over outputs: of every codebook's entry, and of every dim's weight
// times its value.
double rounding_error(const Eigen::RowVectorXd& scales, int64_t n_codebooks, const RealLinear& linear, int shift) {
  return scales.squaredNorm() * (std::ldexp(static_cast<double>(n_codebooks), 2 * shift) + linear.variance.sum());
}

}  // namespace

QuantizedParts quantize_parts(const RealTables& tables, const RealLinear& linear, std::span<const float> bias,
                              int max_entry, int max_weight) {
  if (linear.empty()) return {.lut = quantize_lut(tables, bias, max_entry), .weights = {}};
  const int64_t n_outputs = linear.weights.cols(), n_codebooks = tables.entries.rows() / tables.n_entries;
  const Eigen::RowVectorXd spans = entry_spans(tables), largest = linear.weights.cwiseAbs().colwise().maxCoeff();
  int shift = 0;
  double least = std::numeric_limits<double>::infinity();
  for (int tried = 0; tried <= (n_codebooks == 0 ? 0 : LinearDims::kMaxShift); ++tried) {
    const double error =
        rounding_error(scales(spans, largest, max_entry, max_weight, tried), n_codebooks, linear, tried);
    if (error < least) least = error, shift = tried;
  }
  // As float32 has them, so that steps between entries are 2^shift times them exactly.
  const Eigen::RowVectorXd scale = scales(spans, largest, max_entry, max_weight, shift)
                                       .cast<float>()
                                       .cwiseMax(std::numeric_limits<float>::min())
                                       .cast<double>();

  QuantizedParts parts{
      .lut = quantize_lut(tables, bias, max_entry, scale * std::ldexp(1.0, shift)), .weights = {}, .shift = shift};
  parts.weights.resize(linear.weights.size());
  for (int64_t m = 0; m < n_outputs; ++m) {
    double offset = parts.lut.offset[m], reach = 0;
    for (int64_t s = 0; s < linear.size(); ++s) {
      const double weight = std::clamp<double>(std::round(linear.weights(s, m) / scale[m]), -max_weight, max_weight);
      parts.weights[s * n_outputs + m] = static_cast<int8_t>(weight);
      offset -= linear.mean[s] * weight * scale[m];
      reach += LinearDims::kMaxQuantised * std::abs(weight) * scale[m];
    }
    parts.lut.scale[m] = static_cast<float>(scale[m]);
    parts.lut.offset[m] = static_cast<float>(offset);
    check_reach(m, reach + spans[m] * static_cast<double>(n_codebooks), offset);
  }
  return parts;
}

}  // namespace mithral::train_internal
