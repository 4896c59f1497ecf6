#include "codegen/model/tables.h"

#include <cmath>

#include "codegen/model/error.h"
#include "codegen/model/float_environment.h"

namespace mithral {
namespace {

void check(const TableArrays& a) {
  const auto n_outputs = static_cast<int64_t>(a.scale.size());
  check_range<BadModel>("n_outputs (M)", n_outputs, 1, Tables::kMaxOutputs);
  check_range<BadModel>("n_codebooks (C)", a.n_codebooks, 0, Tables::kMaxCodebooks);
  check_range<BadModel>("the number of entries of a table (K)", a.n_entries, Tables::kMinEntries, Tables::kMaxEntries);
  const int64_t bytes = Tables::laid_out_bytes(a.n_codebooks, a.n_entries, n_outputs);
  if (bytes > Tables::kMaxLaidOutBytes) {
    throw BadModel(message("the tables of ", a.n_codebooks, " codebooks of ", a.n_entries, " entries and ", n_outputs,
                           " outputs take ", bytes, " bytes; allowed: up to ", Tables::kMaxLaidOutBytes));
  }
  check_length("lut", a.lut.size(), a.n_codebooks * a.n_entries * n_outputs, "(C, K, M)");
  check_length("offset", a.offset.size(), n_outputs, "(M,)");
  check_finite("scale", a.scale);
  check_finite("offset", a.offset);
}

template <typename T>
std::shared_ptr<const std::vector<T>> shared(std::vector<T> values) {
  return std::make_shared<const std::vector<T>>(std::move(values));
}

// Pointers of its own, which nothing else may change: so the compiler makes vectors of it.
void raise_to(uint8_t* largest, const uint8_t* entries, int64_t count) {
  for (int64_t m = 0; m < count; ++m) largest[m] = std::max(largest[m], entries[m]);
}

}  // namespace

Tables::Tables(TableArrays arrays) {
  check(arrays);
  n_codebooks_ = arrays.n_codebooks;
  n_entries_ = arrays.n_entries;
  lut_ = shared(std::move(arrays.lut));
  scale_ = shared(std::move(arrays.scale));
  offset_ = shared(std::move(arrays.offset));
}

Tables Tables::with_lut(int64_t n_codebooks, int64_t n_entries, std::vector<uint8_t> lut) const {
  ensure(static_cast<int64_t>(lut.size()) == n_codebooks * n_entries * n_outputs(), "a LUT has shape (C, K, M)");
  Tables result = *this;
  result.n_codebooks_ = n_codebooks;
  result.n_entries_ = n_entries;
  result.lut_ = shared(std::move(lut));
  return result;
}

Tables Tables::with_bias(std::span<const float> bias) const {
  const DefaultFloatEnvironment ieee;
  if (static_cast<int64_t>(bias.size()) != n_outputs()) {
    throw InvalidArgument(
        message("bias has shape (", bias.size(), ",); expected (", n_outputs(), ",), one value for each output"));
  }
  std::vector<float> sums = offset();
  for (size_t m = 0; m < bias.size(); ++m) {
    sums[m] += bias[m];
    if (!std::isfinite(sums[m])) {
      throw InvalidArgument(message("bias[", m, "] is ", bias[m], ", which makes the offset ", sums[m],
                                    "; allowed: finite values with a finite sum"));
    }
  }
  Tables result = *this;
  result.offset_ = shared(std::move(sums));
  return result;
}

Tables Tables::with_scales_of(const Tables& other) const {
  ensure(n_outputs() == other.n_outputs(), "tables have a scale and an offset per output");
  Tables result = *this;
  result.scale_ = other.scale_;
  result.offset_ = other.offset_;
  return result;
}

EntryRanges entry_ranges(const Tables& tables) {
  EntryRanges ranges{tables.n_codebooks(), tables.n_outputs(), {}};
  ranges.largest.resize(ranges.n_codebooks * ranges.n_outputs);
  for (int64_t c = 0; c < ranges.n_codebooks; ++c) {
    uint8_t* largest = &ranges.largest[c * ranges.n_outputs];
    for (int64_t code = 0; code < tables.n_entries(); ++code) {
      raise_to(largest, tables.entries(c, code), ranges.n_outputs);
    }
  }
  return ranges;
}

}  // namespace mithral
