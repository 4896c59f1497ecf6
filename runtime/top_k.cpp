#include "runtime/top_k.h"

#include <emmintrin.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <iterator>
#include <limits>

#include "codegen/model/model.h"
#include "codegen/model/multiples.h"

namespace mithral {
namespace {

constexpr int kLanes = 4, kVectors = TopK::kRowsAtOnce / kLanes;
constexpr uint32_t kSignBit = 0x80000000;

// Candidates beyond k that a row gathers before all but the k largest are dropped.
int64_t spare_places(int64_t k) { return std::max<int64_t>(k, 16); }

constexpr int64_t kMaxGroups = 2 * TopK::kMax;

// The largest values of kRowsAtOnce rows in each of some groups of outputs.
class GroupMaxima {
 public:
  GroupMaxima(const float* scores, int64_t column, int64_t outputs)
      : outputs_each_(divide_up(outputs, kMaxGroups)), n_groups_(outputs / outputs_each_) {
    for (int64_t group = 0; group < n_groups_; ++group) {
      for (int i = 0; i < kVectors; ++i) {
        const float* values = scores + group * outputs_each_ * column + i * kLanes;
        __m128 largest = _mm_loadu_ps(values);
        for (int64_t j = 1; j < outputs_each_; ++j) largest = _mm_max_ps(largest, _mm_loadu_ps(values + j * column));
        largest_[group][i] = largest;
      }
    }
  }

  // For rows of vector i, values that k or more groups, and so k or more outputs, are above; NaN where none was found.
  // Halving steps find one that few more are above.
  __m128 below_k(int i, int64_t k) const {
    __m128 low = largest_[0][i], high = low;
    for (int64_t group = 1; group < n_groups_; ++group) {
      low = _mm_min_ps(low, largest_[group][i]);
      high = _mm_max_ps(high, largest_[group][i]);
    }
    __m128 found = _mm_set1_ps(std::numeric_limits<float>::quiet_NaN());
    const __m128 half = _mm_set1_ps(0.5f);
    const __m128i too_few = _mm_set1_epi32(static_cast<int>(k - 1));
    for (int step = 0; step < kHalvings; ++step) {
      const __m128 middle = _mm_add_ps(_mm_mul_ps(low, half), _mm_mul_ps(high, half));
      const __m128 enough = _mm_castsi128_ps(_mm_cmpgt_epi32(groups_above(i, middle), too_few));
      found = choose(enough, middle, found);
      low = choose(enough, middle, low);
      high = choose(enough, high, middle);
    }
    return found;
  }

 private:
  static constexpr int kHalvings = 8;

  static __m128 choose(__m128 mask, __m128 yes, __m128 no) {
    return _mm_or_ps(_mm_and_ps(mask, yes), _mm_andnot_ps(mask, no));
  }
  __m128i groups_above(int i, __m128 value) const {
    __m128i count = _mm_setzero_si128();
    for (int64_t group = 0; group < n_groups_; ++group) {
      count = _mm_sub_epi32(count, _mm_castps_si128(_mm_cmpgt_ps(largest_[group][i], value)));
    }
    return count;
  }

  int64_t outputs_each_, n_groups_;
  __m128 largest_[kMaxGroups][kVectors];
};

// The limits of kRowsAtOnce rows.
struct Limits {
  explicit Limits(const float* from) {
    for (int i = 0; i < kVectors; ++i) lanes[i] = _mm_loadu_ps(from + i * kLanes);
  }

  // Bit i: row i's value is above its limit, or there is none.
  int above(const float* values) const {
    __m128 greater[kVectors];
    __m128 any = _mm_setzero_ps();
    for (int i = 0; i < kVectors; ++i) {
      greater[i] = _mm_cmpnle_ps(_mm_loadu_ps(values + i * kLanes), lanes[i]);
      any = _mm_or_ps(any, greater[i]);
    }
    if (_mm_movemask_ps(any) == 0) return 0;
    int rows = 0;
    for (int i = 0; i < kVectors; ++i) rows |= _mm_movemask_ps(greater[i]) << (i * kLanes);
    return rows;
  }

  __m128 lanes[kVectors];
};

}  // namespace

// A look at all values for the largest, then one for where it is.
int64_t first_largest(const float* values, int64_t count) {
  float largest = values[0];
  int64_t i = 0;
  if (count >= kVectors * kLanes) {
    __m128 of_lanes[kVectors];
    for (int v = 0; v < kVectors; ++v) of_lanes[v] = _mm_loadu_ps(values + v * kLanes);
    for (i = kVectors * kLanes; i + kVectors * kLanes <= count; i += kVectors * kLanes) {
      for (int v = 0; v < kVectors; ++v) {
        of_lanes[v] = _mm_max_ps(of_lanes[v], _mm_loadu_ps(values + i + v * kLanes));
      }
    }
    float lanes[kVectors * kLanes];
    for (int v = 0; v < kVectors; ++v) _mm_storeu_ps(lanes + v * kLanes, of_lanes[v]);
    largest = *std::max_element(std::begin(lanes), std::end(lanes));
  }
  for (; i < count; ++i) largest = std::max(largest, values[i]);
  return std::find(values, values + count, largest) - values;
}

// 32 bits that rise with the value, the same for both zeros; 24 that fall with the output; one that is set for -0.
TopK::Key TopK::key_of(float value, int64_t output) {
  static_assert(Tables::kMaxOutputs == int64_t{1} << 24);
  const auto bits = std::bit_cast<uint32_t>(value + 0.0f);
  const uint32_t rising = bits ^ ((bits & kSignBit) != 0 ? ~uint32_t{0} : kSignBit);
  const auto falling = static_cast<uint32_t>(Tables::kMaxOutputs - 1 - output);
  const bool negative_zero = std::bit_cast<uint32_t>(value) == kSignBit;
  return Key{rising} << 32 | Key{falling} << 8 | Key{negative_zero};
}

float TopK::value_of(Key key) {
  const auto rising = static_cast<uint32_t>(key >> 32);
  const uint32_t bits = rising ^ ((rising & kSignBit) != 0 ? kSignBit : ~uint32_t{0});
  return (key & 1) != 0 ? -0.0f : std::bit_cast<float>(bits);
}

int64_t TopK::output_of(Key key) {
  return Tables::kMaxOutputs - 1 - static_cast<int64_t>(key >> 8 & (Tables::kMaxOutputs - 1));
}

void TopK::begin(int64_t rows, int64_t k) {
  k_ = k;
  capacity_ = k + spare_places(k);
  limits_.assign(rows, std::numeric_limits<float>::quiet_NaN());
  counts_.assign(rows, 0);
  keys_.resize(std::max<size_t>(keys_.size(), rows * capacity_));
}

void TopK::take(const float* scores, int64_t column, int64_t first_row, int64_t rows, int64_t first_output,
                int64_t outputs) {
  const bool gathers_too_many = first_output == 0 && outputs > capacity_;
  for (int64_t row = 0; row < rows; row += kRowsAtOnce) {
    if (gathers_too_many) find_limits(scores + row, column, first_row + row, outputs);
    Limits limits(&limits_[first_row + row]);
    for (int64_t i = 0; i < outputs; ++i) {
      const float* values = scores + i * column + row;
      int above = limits.above(values);
      if (above == 0) continue;
      for (; above != 0; above &= above - 1) {
        const int lane = std::countr_zero(static_cast<unsigned>(above));
        append(first_row + row + lane, values[lane], first_output + i);
      }
      limits = Limits(&limits_[first_row + row]);
    }
  }
}

void TopK::take_row(const float* scores, int64_t row, int64_t outputs) {
  int64_t i = 0;
  for (; i + kLanes <= outputs; i += kLanes) {
    const __m128 above = _mm_cmpnle_ps(_mm_loadu_ps(scores + i), _mm_set1_ps(limits_[row]));
    for (int lanes = _mm_movemask_ps(above); lanes != 0; lanes &= lanes - 1) {
      const int lane = std::countr_zero(static_cast<unsigned>(lanes));
      append(row, scores[i + lane], i + lane);
    }
  }
  for (; i < outputs; ++i) append(row, scores[i], i);
}

// First limits, so that rows do not begin with everything as a candidate.
void TopK::find_limits(const float* scores, int64_t column, int64_t first_row, int64_t outputs) {
  const GroupMaxima maxima(scores, column, outputs);
  for (int i = 0; i < kVectors; ++i) _mm_storeu_ps(&limits_[first_row + i * kLanes], maxima.below_k(i, k_));
}

void TopK::append(int64_t row, float value, int64_t output) {
  keys_of(row)[counts_[row]++] = key_of(value, output);
  if (counts_[row] == capacity_) keep_largest(row);
}

// Later values that are no larger than the k-th have a higher output besides: they are out.
void TopK::keep_largest(int64_t row) {
  Key* keys = keys_of(row);
  std::nth_element(keys, keys + k_ - 1, keys + counts_[row], std::greater<>());
  counts_[row] = k_;
  limits_[row] = value_of(keys[k_ - 1]);
}

void TopK::finish(MatrixView<float> values, MatrixView<int64_t> indices) {
  for (int64_t row = 0; row < values.rows; ++row) {
    keep_largest(row);
    Key* keys = keys_of(row);
    std::sort(keys, keys + k_, std::greater<>());
    for (int64_t i = 0; i < k_; ++i) {
      values(row, i) = value_of(keys[i]);
      indices(row, i) = output_of(keys[i]);
    }
  }
}

}  // namespace mithral
