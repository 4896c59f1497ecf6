#include "bench/problem.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "codegen/encode/encoder_lowering.h"
#include "tests/support/model_arrays.h"

namespace mithral::bench {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);

void fill_normal(float* values, int64_t count, uint64_t seed) {
  constexpr int64_t kPeriod = 65537;  // shares no factor with shapes: columns differ from one another
  std::mt19937_64 rng(seed);
  std::normal_distribution<float> distribution;
  const int64_t drawn = std::min(count, kPeriod);
  for (int64_t i = 0; i < drawn; ++i) values[i] = distribution(rng);
  for (int64_t i = drawn; i < count; i += kPeriod) {
    std::copy_n(values, std::min(kPeriod, count - i), values + i);
  }
}

}  // namespace

std::string name_of(const Shape& shape) {
  return std::to_string(shape.n) + "x" + std::to_string(shape.d) + "x" + std::to_string(shape.m);
}

const char* name_of(Order order) { return order == Order::kRows ? "rows" : "columns"; }

// Entries up to here, because the number of groups that are added in bytes depends on them (codegen/scan/lut_groups.h):
// this range makes 3, 4, 5 and 7 groups of 8, 16, 32 and 64 codebooks. Today's trainer, at C = 16: the generated
// classes of bench/problems.py get entries up to 63, 38 or more in every codebook, and 3 groups; the digits, with few
// rows to learn from, all 8 bits and 14 groups, to which uniform entries of 8 bits (scan/...) are nearer.
int trained_range(int64_t codebook) {
  return std::max(12, static_cast<int>(std::lround(120 * std::pow(0.9, static_cast<double>(codebook)))));
}

Model make_model(const Shape& shape, int64_t n_codebooks, int64_t depth, const EntryRange& range) {
  const int64_t n_leaves = int64_t{1} << depth;
  std::mt19937_64 rng(1);
  testing::ModelArrays a{.n_features = shape.d,
                         .n_outputs = shape.m,
                         .n_codebooks = n_codebooks,
                         .depth = depth,
                         .split_dims = {},
                         .thresholds = std::vector<float>(n_codebooks * (n_leaves - 1)),
                         .lut = {},
                         .scale = std::vector<float>(shape.m, 0.01f),
                         .offset = std::vector<float>(shape.m, -1.0f)};
  fill_normal(a.thresholds.data(), static_cast<int64_t>(a.thresholds.size()), 2);
  for (int64_t i = 0; i < n_codebooks * depth; ++i) a.split_dims.push_back(static_cast<int32_t>(rng() % shape.d));
  for (int64_t c = 0; c < n_codebooks; ++c) {
    const uint64_t n_values = range(c) + 1;
    for (int64_t i = 0; i < n_leaves * shape.m; ++i) a.lut.push_back(static_cast<uint8_t>(rng() % n_values));
  }
  return Model(std::move(a));
}

Model make_linear_model(const Shape& shape) {
  constexpr float kStepsOfDeviation = 20, kMiddle = 64;
  std::mt19937_64 rng(1);
  testing::ModelArrays a{.n_features = shape.d,
                         .n_outputs = shape.m,
                         .depth = kDepth,
                         .scale = std::vector<float>(shape.m, 0.01f),
                         .offset = std::vector<float>(shape.m, -1.0f)};
  LinearArrays linear{.n_features = shape.d,
                      .n_outputs = shape.m,
                      .dims = std::vector<int32_t>(shape.d),
                      .inverse_step = std::vector<float>(shape.d, kStepsOfDeviation),
                      .zero = std::vector<float>(shape.d, kMiddle),
                      .weights = {}};
  std::iota(linear.dims.begin(), linear.dims.end(), 0);
  for (int64_t i = 0; i < shape.d * shape.m; ++i) linear.weights.push_back(static_cast<int8_t>(rng()));
  a.linear = LinearDims(std::move(linear));
  return Model(std::move(a));
}

int64_t bytes_read(const Model& model, int64_t n_rows, Order order) {
  const std::vector<int32_t> columns = codegen::encoder_lowering(model)->columns();
  if (order == Order::kColumns) return static_cast<int64_t>(columns.size()) * n_rows * kFloatBytes;
  // Rows lie to lines as those of a line's number of floats before them: that many rows are a whole number of lines.
  const int64_t period = std::min(n_rows, kLineBytes / kFloatBytes);
  std::set<int64_t> lines;
  for (int64_t row = 0; row < period; ++row) {
    for (const int32_t column : columns) lines.insert((row * model.n_features() + column) * kFloatBytes / kLineBytes);
  }
  return static_cast<int64_t>(lines.size()) * kLineBytes * n_rows / period;
}

Buffer::Buffer(int64_t bytes, int64_t offset) : offset_(offset) {
  const int64_t whole_lines = (bytes + offset + kLineBytes - 1) / kLineBytes * kLineBytes;
  bytes_.reset(static_cast<uint8_t*>(std::aligned_alloc(kLineBytes, whole_lines)));
  if (!bytes_) throw std::bad_alloc();
  std::memset(bytes_.get(), 0, whole_lines);
}

Buffer normal_floats(int64_t count, uint64_t seed, int64_t offset) {
  Buffer buffer(count * kFloatBytes, offset);
  fill_normal(buffer.as<float>(), count, seed);
  return buffer;
}

}  // namespace mithral::bench
