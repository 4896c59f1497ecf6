// Columns taken as they are: quantised to 7 bits, times small integers, into the same sums as the tables' entries. For
// one row x:
//
//     u    = x[dim[s]] * inverse_step[s] + zero[s]               // product rounded, then sum rounded
//     q[s] = u > 0 ? round_half_even(min(u, 127)) : 0            // 0..127; NaN gives 0
//     linear[m] = sum over s of q[s] * weight[s][m]              // exact integers
//
// Seven bits, because sums of two products of q and a signed byte then fit 16 bits: no instruction saturates.
//
// Behind the columns there may be latents: outputs z of another model of the same row, which are codes already. Many
// outputs through few sums:
//
//     q[S + j] = z[j] > 0 ? round_half_even(min(z[j], 127)) : 0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace mithral {

class Model;

// The arrays of linear dims, row-major, not validated yet.
struct LinearArrays {
  int64_t n_features = 0;                // D
  int64_t n_outputs = 0;                 // M
  int64_t shift = 0;                     // sums of table entries count 2^shift times as much as linear ones
  std::vector<int32_t> dims;             // (S)
  std::vector<float> inverse_step;       // (S)
  std::vector<float> zero;               // (S)
  std::vector<int8_t> weights;           // (S + r, M)
  std::shared_ptr<const Model> latents;  // of r outputs, without latents of its own; none: r = 0
};

// Immutable, validated linear dims. Copies share the arrays.
class LinearDims {
 public:
  static constexpr int64_t kMaxDims = int64_t{1} << 16;  // sums of 2^16 products of 7 and 8 bits fit 32
  static constexpr int64_t kMaxShift = 14;               // and so do 2^14 times sums of tables, of 16 bits
  static constexpr int kMaxQuantised = 127;
  static constexpr int64_t kFour = 4;  // dims whose products are added together: latents begin behind whole fours
  static constexpr int64_t kMaxTrainedLatents = 512;  // latents that training makes

  // None, S = 0: of no features and outputs.
  LinearDims();

  // Throws BadModel: a size out of range, an array of the wrong length, a dim outside [0, D), a step or zero that is
  // not finite; beside latents columns that are not whole fours, latents of given codes, of other features, or with
  // latents of their own. The message names the first offender.
  explicit LinearDims(LinearArrays arrays);

  bool empty() const { return size() == 0; }
  int64_t size() const { return n_columns() + n_latents(); }                        // the quantised values of a row
  int64_t n_columns() const { return static_cast<int64_t>(arrays_->dims.size()); }  // S
  int64_t n_latents() const;                                                        // r
  int64_t n_features() const { return arrays_->n_features; }
  int64_t n_outputs() const { return arrays_->n_outputs; }
  int shift() const { return static_cast<int>(arrays_->shift); }

  const std::vector<int32_t>& dims() const { return arrays_->dims; }
  const std::vector<float>& inverse_step() const { return arrays_->inverse_step; }
  const std::vector<float>& zero() const { return arrays_->zero; }
  const std::vector<int8_t>& weights() const { return arrays_->weights; }

  // The model whose outputs are the latents; null: there are none.
  const std::shared_ptr<const Model>& latents() const { return arrays_->latents; }

  // The weights of a dim, or behind these of a latent, (M).
  const int8_t* weights_of(int64_t dim) const { return weights().data() + dim * n_outputs(); }

  // Whether both are copies of one, or none.
  bool shares_arrays_with(const LinearDims& other) const { return arrays_ == other.arrays_; }

 private:
  std::shared_ptr<const LinearArrays> arrays_;
};

// The quantised value of x, in the default floating-point environment.
uint8_t quantise(float x, float inverse_step, float zero);

}  // namespace mithral
