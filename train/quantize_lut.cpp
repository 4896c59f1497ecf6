#include "train/quantize_lut.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "codegen/model/error.h"

namespace mithral::train_internal {
namespace {

// The real values that quantised tables stand for.
RealTables dequantize(const QuantizedLut& quantized, const RealTables& shape) {
  RealTables tables{shape.mean, MatrixD(shape.entries.rows(), shape.entries.cols()), shape.n_entries};
  for (int64_t m = 0; m < tables.mean.size(); ++m) tables.mean[m] = quantized.offset[m];
  for (int64_t i = 0; i < tables.entries.rows(); ++i) {
    for (int64_t m = 0; m < tables.entries.cols(); ++m) {
      tables.entries(i, m) = static_cast<double>(quantized.lut[i * tables.entries.cols() + m]) * quantized.scale[m];
    }
  }
  return tables;
}

}  // namespace

Eigen::RowVectorXd entry_spans(const RealTables& tables) {
  Eigen::RowVectorXd widest = Eigen::RowVectorXd::Zero(tables.entries.cols());
  for (int64_t first = 0; first < tables.entries.rows(); first += tables.n_entries) {
    const auto entries = tables.entries.middleRows(first, tables.n_entries);
    widest = widest.cwiseMax(entries.colwise().maxCoeff() - entries.colwise().minCoeff());
  }
  return widest;
}

// The kernel computes float(acc) * scale, then adds the offset: both steps, and the offset itself, must fit a float.
void check_reach(int64_t output, double largest_product, double offset) {
  const double reach = std::max({std::abs(offset), largest_product, std::abs(largest_product + offset)});
  if (reach <= std::numeric_limits<float>::max()) return;
  throw InvalidArgument(message("output ", output, " can reach ", reach, ", but float32 ends at ",
                                std::numeric_limits<float>::max(), "; scale A, B or the bias down"));
}

QuantizedLut quantize_lut(const RealTables& tables, std::span<const float> bias, int max_entry) {
  return quantize_lut(tables, bias, max_entry, entry_spans(tables) / max_entry);
}

QuantizedLut quantize_lut(const RealTables& tables, std::span<const float> bias, int max_entry,
                          const Eigen::RowVectorXd& steps_of_outputs) {
  const int64_t n_outputs = tables.entries.cols();
  const int64_t n_entries = tables.n_entries;
  const int64_t n_codebooks = tables.entries.rows() / n_entries;
  QuantizedLut quantized;
  quantized.lut.resize(tables.entries.size());
  quantized.scale.resize(n_outputs);
  quantized.offset.resize(n_outputs);

  for (int64_t m = 0; m < n_outputs; ++m) {
    const Eigen::VectorXd column = tables.entries.col(m);
    const Eigen::Map<const Eigen::MatrixXd> entries(column.data(), n_entries, n_codebooks);
    const Eigen::RowVectorXd least = entries.colwise().minCoeff();
    const double step = steps_of_outputs[m];
    const auto scale = static_cast<float>(step);
    // What varies may be too small for a float: then its middle stays.
    const bool constant = scale < std::numeric_limits<float>::min();
    const double base = constant ? entries.colwise().mean().sum() : least.sum();
    const double offset = tables.mean[m] + (bias.empty() ? 0.0 : bias[m]) + base;
    quantized.scale[m] = constant ? 1.0f : scale;
    quantized.offset[m] = static_cast<float>(offset);
    double largest_sum = 0;
    for (int64_t c = 0; c < n_codebooks && !constant; ++c) {
      double largest = 0;
      for (int64_t k = 0; k < n_entries; ++k) {
        const double steps = std::min(std::round((entries(k, c) - least[c]) / scale), static_cast<double>(max_entry));
        quantized.lut[(c * n_entries + k) * n_outputs + m] = static_cast<uint8_t>(steps);
        largest = std::max(largest, steps);
      }
      largest_sum += largest;
    }
    check_reach(m, std::max(step, step * largest_sum), offset);
  }
  return quantized;
}

ChosenEntries choose_entries(const RealTables& tables, const RoundingRows& rows, double tolerance) {
  constexpr int kMostEntry = 255;
  const double error = squared_error(tables, rows.codes, rows.exact);
  for (int max_entry = 63;; max_entry = 2 * max_entry + 1) {
    const RealTables rounded = dequantize(quantize_lut(tables, {}, max_entry), tables);
    const double rise = squared_error(rounded, rows.codes, rows.exact) - error;
    if (rise <= tolerance * error || max_entry == kMostEntry) return {max_entry, error > 0 ? rise / error : 0};
  }
}

}  // namespace mithral::train_internal
