#include "codegen/scan/linear_sums.h"

#include <algorithm>

#include "codegen/model/multiples.h"

namespace mithral::codegen {
namespace {

constexpr int64_t kBytesOfLane = CodeLayout::kBytesOfLane;
constexpr int64_t kMostUnrolled = 32;  // fours: more are a loop, so that code does not grow with them
constexpr int64_t kLoopFours = 8;      // of an iteration, a multiple of those that share sums of 16 bits

}  // namespace

void LinearSums::add_to_rows(std::vector<Vreg>& sums, Preg codes, int first_block, Mem weights) {
  const CodeLayout& layout = plan_.codes;
  const Mem dims = at(codes, first_block * layout.block_bytes() + layout.linear_offset(0));
  add(sums, {Lanes::kRows, dims, weights, layout.bytes_of_four(), kBytesOfLane});
}

void LinearSums::add_to_outputs(std::vector<Vreg>& sums, Preg dims, Mem weights, int64_t bytes_of_four) {
  add(sums, {Lanes::kOutputs, at(dims), weights, plan_.codes.bytes_of_four(), bytes_of_four});
}

// In a loop the pointers themselves advance, and go back: copies would take registers that there are not.
void LinearSums::add(std::vector<Vreg>& sums, const Fours& fours) {
  if (plan_.linear.shift > 0 && plan_.shape.n_codebooks > 0) {
    for (Vreg& sum : sums) sum = b_.shl_u32(sum, plan_.linear.shift);
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

void LinearSums::add_unrolled(std::vector<Vreg>& sums, const Fours& fours, int64_t n_fours) {
  if (!b_.target().has(Feature::kByteDots)) {
    const int64_t at_once = plan_.linear.fours_in_words;
    for (int64_t four = 0; four < n_fours; four += at_once) {
      add_in_words(sums, fours, four, std::min(at_once, n_fours - four));
    }
    return;
  }
  for (int64_t four = 0; four < n_fours; ++four) {
    const Vreg shared = shared_factor(fours, four);
    for (size_t i = 0; i < sums.size(); ++i) {
      const Vreg own = factor(fours, four, i);
      if (fours.lanes == Lanes::kRows) {
        b_.dot_u8_to(sums[i], sums[i], own, shared);
      } else {
        b_.dot_u8_to(sums[i], sums[i], shared, own);
      }
    }
  }
}

// Products of `count` fours from `first` on, which 16 bits hold (linear_plan.h).
void LinearSums::add_in_words(std::vector<Vreg>& sums, const Fours& fours, int64_t first, int64_t count) {
  const Vreg ones = b_.broadcast_value("ones of 16 bits", 0x00010001);
  std::vector<Vreg> shared;
  for (int64_t i = 0; i < count; ++i) shared.push_back(shared_factor(fours, first + i));
  for (size_t i = 0; i < sums.size(); ++i) {
    const auto products = [&](int64_t j) {
      const Vreg own = factor(fours, first + j, i);
      return fours.lanes == Lanes::kRows ? b_.dot_u8_u16(own, shared[j]) : b_.dot_u8_u16(shared[j], own);
    };
    const Vreg words = products(0);
    for (int64_t j = 1; j < count; ++j) b_.add_u16_to(words, words, products(j));
    b_.add_u32_to(sums[i], sums[i], b_.dot_i16(words, ones));
  }
}

Vreg LinearSums::shared_factor(const Fours& fours, int64_t four) {
  return b_.broadcast_32(fours.lanes == Lanes::kRows ? behind(fours.weights, four * fours.weights_stride)
                                                     : behind(fours.dims, four * fours.dims_stride));
}

Vreg LinearSums::factor(const Fours& fours, int64_t four, size_t i) {
  const int64_t vector_bytes = plan_.codes.vector_bytes();
  if (fours.lanes == Lanes::kOutputs) {
    return b_.load(behind(fours.weights, four * fours.weights_stride + static_cast<int64_t>(i) * vector_bytes));
  }
  const int64_t of_block = plan_.codes.block_rows() / plan_.codes.lanes, vector = static_cast<int64_t>(i);
  const int64_t bytes = vector / of_block * plan_.codes.block_bytes() + vector % of_block * vector_bytes;
  return b_.load(behind(fours.dims, four * fours.dims_stride + bytes));
}

}  // namespace mithral::codegen
