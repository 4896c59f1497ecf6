#include "codegen/plan/estimate.h"

#include <algorithm>
#include <cmath>

#include "codegen/encode/encoder_lowering.h"
#include "codegen/encode/lower_stage.h"
#include "codegen/model/error.h"

namespace mithral {
namespace {

constexpr double kFloatBytes = 4;
constexpr double kLineBytes = 64;
constexpr double kLineFloats = kLineBytes / kFloatBytes;
constexpr double kBlockRows = 32;         // what a call encodes at least
constexpr double kTableEntries = 16;      // entries of a table that one shuffle looks up in
constexpr double kByteTableEntries = 64;  // that a byte permutation does

// Nanoseconds on one core, between those of a 3.2 GHz Zen 3 and a 2.8 GHz Ice Lake server: (N x D x M) of 10000x512x10,
// 10000x512x100, 49284x27x2, 16384x64x64, 10240x512x512, 10240x1024x1024 and 100000x128x128 with C = 4 to 64 on either.
// The exact product is the fastest of OpenBLAS, BLIS and oneDNN on one thread, in the layout that suits it: NumPy's
// takes up to four times as long where outputs are few. Most lie within a factor of two of the estimate; what it does
// not know is which cache the arrays are in. llvm-mca (make static-cost) says of the loops alone, without memory, on
// these two CPUs: 0.011 to 0.016 ns a look-up and 0.05 to 0.07 ns a level with avx2, half of the look-up's with
// avx512_vbmi.
struct CostFigures {
  double call = 1000;             // of any call: Python, checks
  double byte_read = 1 / 20.0;    // of a table, of B, or of a row-major row's lines
  double level_encoded = 0.1;     // of a row and codebook; column-major input is read at that speed too
  double lookup = 0.01;           // of a row, codebook and output, with 32-byte vectors
  double output = 0.5;            // written row-major
  double exact_flop = 1 / 115.0;  // a float32 multiplication or addition of the exact product
  double exact_value = 0.1;       // of a value of X read or of Y written by the exact product
};

constexpr CostFigures kCost;
constexpr double kNanosecond = 1e-9;

// Shuffles that choose from `entries` values, `register_entries` of which fit one register.
double n_shuffles(double entries, double register_entries) { return std::max(1.0, entries / register_entries); }

double encode_row(const ModelShape& shape, const Target& target, InputOrder order) {
  double levels = 0;
  for (int64_t level = 0; level < shape.depth; ++level) {
    levels += n_shuffles(std::exp2(static_cast<double>(level)), target.lanes());
  }
  const double row_bytes = static_cast<double>(shape.n_features) * kFloatBytes;
  const double bytes = order == InputOrder::kRowMajor ? std::min(shape.n_lines * kLineBytes, row_bytes) : 0;
  return static_cast<double>(shape.n_codebooks) * levels * kCost.level_encoded + bytes * kCost.byte_read;
}

double scan_row(const ModelShape& shape, const Target& target) {
  const auto entries = static_cast<double>(shape.n_entries);
  const double table_entries = target.has(Feature::kByteTables) ? kByteTableEntries : kTableEntries;
  const double shuffles = n_shuffles(entries, table_entries) * 32 / target.vector_bytes;
  return static_cast<double>(shape.n_codebooks * shape.n_outputs) * shuffles * kCost.lookup;
}

double kernel_call(const ModelShape& shape, double n_rows, const Target& target, InputOrder order) {
  const double rows_encoded = std::ceil(n_rows / kBlockRows) * kBlockRows;
  const auto entries = static_cast<double>(shape.n_entries);
  const double row_of_tables = static_cast<double>(shape.n_codebooks * shape.n_outputs);  // bytes that a row selects
  const double table_bytes = row_of_tables * std::min(std::max(entries, kTableEntries), n_rows);
  return kCost.call + table_bytes * kCost.byte_read + rows_encoded * encode_row(shape, target, order) +
         n_rows * (scan_row(shape, target) + static_cast<double>(shape.n_outputs) * kCost.output);
}

double exact_call(const ModelShape& shape, double n_rows) {
  const auto d = static_cast<double>(shape.n_features), m = static_cast<double>(shape.n_outputs);
  return kCost.call + d * m * kFloatBytes * kCost.byte_read +
         n_rows * (2 * d * m * kCost.exact_flop + (d + m) * kCost.exact_value);
}

}  // namespace

ModelShape shape_of(const Model& model) {
  const int64_t lines = codegen::count_lines(codegen::encoder_lowering(model.encoder())->columns());
  return {.n_features = model.n_features(),
          .n_outputs = model.n_outputs(),
          .n_codebooks = model.n_codebooks(),
          .depth = model.has_trees() ? model.trees().depth() : 0,
          .n_entries = model.n_entries(),
          .n_lines = static_cast<double>(lines)};
}

ModelShape expected_shape(int64_t n_features, int64_t n_outputs, int64_t n_codebooks, int64_t depth) {
  check_range("n_features", n_features, 1, HashTrees::kMaxFeatures);
  check_range("n_outputs", n_outputs, 1, Tables::kMaxOutputs);
  check_range("n_codebooks", n_codebooks, 1, Tables::kMaxCodebooks);
  check_range("depth", depth, 1, HashTrees::kMaxDepth);
  const double row_lines = std::ceil(static_cast<double>(n_features) / kLineFloats);
  const double missed = std::pow(1 - 1 / row_lines, static_cast<double>(n_codebooks * depth));  // by every split
  return {.n_features = n_features,
          .n_outputs = n_outputs,
          .n_codebooks = n_codebooks,
          .depth = depth,
          .n_entries = int64_t{1} << depth,
          .n_lines = row_lines * (1 - missed)};
}

TimeEstimate estimate(const ModelShape& shape, int64_t n_rows, const Target& target, InputOrder order) {
  if (n_rows < 0) throw InvalidArgument(message("n_rows is ", n_rows, "; allowed: 0 or more"));
  const auto rows = static_cast<double>(n_rows);
  return {.kernel = kernel_call(shape, rows, target, order) * kNanosecond,
          .exact = exact_call(shape, rows) * kNanosecond};
}

}  // namespace mithral
