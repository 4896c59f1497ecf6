// The tables of a model: what codes select, and what becomes of their sums. How codes come about is an encoder's matter
// (encoder.h); nothing here depends on it.
//
//     sum[m] = sum over c of lut[c][code[c]][m]             // exact integers
//     y[m]   = float(sum[m]) * scale[m] + offset[m]         // rounded after each step
//
// Linear dims add to a sum before it becomes y: model.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace mithral {

// The arrays of tables, row-major, not validated yet. M is the length of `scale`.
struct TableArrays {
  int64_t n_codebooks = 0;    // C
  int64_t n_entries = 0;      // K
  std::vector<uint8_t> lut;   // (C, K, M)
  std::vector<float> scale;   // (M)
  std::vector<float> offset;  // (M), bias included
};

// Immutable, validated tables. Copies share the arrays.
class Tables {
 public:
  static constexpr int64_t kMaxOutputs = int64_t{1} << 24;
  static constexpr int64_t kMaxCodebooks = 256;  // 256 * 255 still fits the 16-bit accumulators
  static constexpr int64_t kMinEntries = 2;
  static constexpr int64_t kMaxEntries = 256;  // a code is one byte

  // Bytes of the LUT as kernels lay it out: at least kLaidOutEntries per codebook and output. At most kMaxLaidOutBytes:
  // more is taken for a mistake.
  static constexpr int64_t kLaidOutEntries = 16;
  static constexpr int64_t kMaxLaidOutBytes = int64_t{1} << 34;
  static int64_t laid_out_bytes(int64_t n_codebooks, int64_t n_entries, int64_t n_outputs) {
    return n_codebooks * n_outputs * std::max(kLaidOutEntries, n_entries);
  }

  // Throws BadModel: a size out of range, an array of the wrong length, a scale or offset that is not finite. The
  // message names the first offender.
  explicit Tables(TableArrays arrays);

  int64_t n_codebooks() const { return n_codebooks_; }
  int64_t n_entries() const { return n_entries_; }
  int64_t n_outputs() const { return static_cast<int64_t>(scale_->size()); }

  const std::vector<uint8_t>& lut() const { return *lut_; }
  const std::vector<float>& scale() const { return *scale_; }
  const std::vector<float>& offset() const { return *offset_; }

  uint8_t entry(int64_t codebook, int64_t code, int64_t output) const { return entries(codebook, code)[output]; }
  // The entries of a code, (M).
  const uint8_t* entries(int64_t codebook, int64_t code) const {
    return lut_->data() + (codebook * n_entries_ + code) * n_outputs();
  }

  // The same scales and offsets over another LUT (C, K, M).
  Tables with_lut(int64_t n_codebooks, int64_t n_entries, std::vector<uint8_t> lut) const;

  // The same LUT, and `bias` (M) added to the offset, rounded to float32. Throws InvalidArgument for another length, or
  // a value or a sum that is not finite.
  Tables with_bias(std::span<const float> bias) const;

  // The LUT of this, with scales and offsets of `other`, which has as many outputs.
  Tables with_scales_of(const Tables& other) const;

 private:
  Tables() = default;

  int64_t n_codebooks_ = 0, n_entries_ = 0;
  std::shared_ptr<const std::vector<uint8_t>> lut_;
  std::shared_ptr<const std::vector<float>> scale_, offset_;
};

// The largest entry per codebook and output: what sums can grow to.
struct EntryRanges {
  int64_t n_codebooks = 0;
  int64_t n_outputs = 0;
  std::vector<uint8_t> largest;  // (C, M)

  const uint8_t* of(int64_t codebook) const { return largest.data() + codebook * n_outputs; }
};

// Reads the whole LUT.
EntryRanges entry_ranges(const Tables& tables);

}  // namespace mithral
