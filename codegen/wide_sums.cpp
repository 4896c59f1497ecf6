#include "codegen/wide_sums.h"

namespace mithral::codegen {

WideSums::WideSums(ProgramBuilder& b, GroupSums strategy, int n_groups, int vectors) : b_(b) {
  if (n_groups > 1) words_ = add_words(b, strategy, n_groups, vectors);
}

void WideSums::add(const std::vector<Vreg>& bytes) {
  bytes_ = bytes;
  if (words_) words_->add(bytes);
}

std::vector<Vreg> WideSums::lanes(int vector) {
  return words_ ? lanes_of_words(words_->words(vector)) : lanes_of_bytes(bytes_[vector]);
}

std::vector<Vreg> WideSums::lanes_of_bytes(Vreg bytes) {
  const Vreg mask = mask_of_lanes(0xff);
  return {b_.and_bits(bytes, mask), b_.and_bits(b_.shr_u32(bytes, 8), mask), b_.and_bits(b_.shr_u32(bytes, 16), mask),
          b_.shr_u32(bytes, 24)};
}

std::vector<Vreg> WideSums::lanes_of_words(const Words& sums) {
  const Vreg mask = mask_of_lanes(0xffff);
  return {b_.and_bits(sums.even, mask), b_.and_bits(sums.odd, mask), b_.shr_u32(sums.even, 16),
          b_.shr_u32(sums.odd, 16)};
}

// The same one for all vectors.
Vreg WideSums::mask_of_lanes(uint32_t bits) {
  if (!mask_) mask_ = b_.broadcast_value("mask", bits);
  return *mask_;
}

}  // namespace mithral::codegen
