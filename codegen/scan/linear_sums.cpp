#include "codegen/scan/linear_sums.h"

#include <algorithm>

#include "codegen/model/multiples.h"

namespace mithral::codegen {
namespace {

constexpr int64_t kMostUnrolled = 32;  // fours: more are a loop, so that code does not grow with them
constexpr int64_t kLoopFours = 8;      // of an iteration, a multiple of those that share sums of 16 bits

}  // namespace

void LinearSums::add_to_rows(Sums& sums, Preg codes, int first_block, Mem weights, int64_t bytes_of_output) {
  const CodeLayout& layout = plan_.codes;
  const Mem dims = at(codes, first_block * layout.block_bytes() + layout.linear_offset(0));
  add(sums, {Lanes::kRows, dims, weights, layout.bytes_of_four(), CodeLayout::kBytesOfLane, bytes_of_output});
}

void LinearSums::add_to_outputs(Sums& sums, Preg dims, Mem weights, int64_t bytes_of_four) {
  add(sums, {Lanes::kOutputs, at(dims), weights, plan_.codes.bytes_of_four(), bytes_of_four, CodeLayout::kBytesOfLane});
}

// In a loop the pointers themselves advance, and go back: copies would take registers that there are not.
void LinearSums::add(Sums& sums, const Fours& fours) {
  if (plan_.linear.shift > 0 && plan_.shape.n_codebooks > 0) {
    for (std::vector<Vreg>& vectors : sums) {
      for (Vreg& sum : vectors) sum = b_.shl_u32(sum, plan_.linear.shift);
    }
  }
  const int64_t n_fours = plan_.linear.n_fours;
  if (n_fours <= kMostUnrolled) return add_unrolled(sums, fours, n_fours);
  const auto advance = [&](int64_t count) {
    b_.advance(fours.dims.base, count * fours.dims_stride);
    b_.advance(fours.weights.base, count * fours.weights_stride);
  };
  b_.repeat(b_.set(n_fours / kLoopFours), [&] {
    add_unrolled(sums, fours, kLoopFours);
    advance(kLoopFours);
  });
  add_unrolled(sums, fours, n_fours % kLoopFours);
  advance(-round_down(n_fours, kLoopFours));
}

void LinearSums::add_unrolled(Sums& sums, const Fours& fours, int64_t n_fours) {
  if (!b_.target().has(Feature::kByteDots)) {
    const int64_t at_once = plan_.linear.fours_in_words;
    for (int64_t four = 0; four < n_fours; four += at_once) {
      add_in_words(sums, fours, four, std::min(at_once, n_fours - four));
    }
    return;
  }
  for (int64_t four = 0; four < n_fours; ++four) {
    std::vector<Vreg> factors;
    for (size_t k = 0; k < sums.size(); ++k) factors.push_back(factor_of(fours, four, k));
    for (size_t i = 0; i < sums[0].size(); ++i) {
      const Vreg shared = vector_factor(fours, four, i);
      for (size_t k = 0; k < sums.size(); ++k) {
        if (fours.lanes == Lanes::kRows) {
          b_.dot_u8_to(sums[k][i], sums[k][i], shared, factors[k]);
        } else {
          b_.dot_u8_to(sums[k][i], sums[k][i], factors[k], shared);
        }
      }
    }
  }
}

// Products of `count` fours from `first` on, which 16 bits hold (linear_plan.h).
void LinearSums::add_in_words(Sums& sums, const Fours& fours, int64_t first, int64_t count) {
  const Vreg ones = b_.broadcast_value("ones of 16 bits", 0x00010001);
  for (size_t k = 0; k < sums.size(); ++k) {
    std::vector<Vreg> factors;
    for (int64_t j = 0; j < count; ++j) factors.push_back(factor_of(fours, first + j, k));
    for (size_t i = 0; i < sums[k].size(); ++i) {
      const auto products = [&](int64_t j) {
        const Vreg own = vector_factor(fours, first + j, i);
        return fours.lanes == Lanes::kRows ? b_.dot_u8_u16(own, factors[j]) : b_.dot_u8_u16(factors[j], own);
      };
      const Vreg words = products(0);
      for (int64_t j = 1; j < count; ++j) b_.add_u16_to(words, words, products(j));
      b_.add_u32_to(sums[k][i], sums[k][i], b_.dot_i16(words, ones));
    }
  }
}

Vreg LinearSums::factor_of(const Fours& fours, int64_t four, size_t k) {
  const int64_t next = static_cast<int64_t>(k) * fours.next;
  return b_.broadcast_32(fours.lanes == Lanes::kRows ? behind(fours.weights, four * fours.weights_stride + next)
                                                     : behind(fours.dims, four * fours.dims_stride + next));
}

Vreg LinearSums::vector_factor(const Fours& fours, int64_t four, size_t i) {
  const int64_t vector_bytes = plan_.codes.vector_bytes();
  if (fours.lanes == Lanes::kOutputs) {
    return b_.load(behind(fours.weights, four * fours.weights_stride + static_cast<int64_t>(i) * vector_bytes));
  }
  const int64_t of_block = plan_.codes.block_rows() / plan_.codes.lanes, vector = static_cast<int64_t>(i);
  const int64_t bytes = vector / of_block * plan_.codes.block_bytes() + vector % of_block * vector_bytes;
  return b_.load(behind(fours.dims, four * fours.dims_stride + bytes));
}

}  // namespace mithral::codegen
