#include "codegen/scan/wide_sums.h"

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
  const Vreg byte = mask(0xff);
  return {b_.and_bits(bytes, byte), b_.and_bits(b_.shr_u32(bytes, 8), byte), b_.and_bits(b_.shr_u32(bytes, 16), byte),
          b_.shr_u32(bytes, 24)};
}

std::vector<Vreg> WideSums::lanes_of_words(const Words& sums) {
  const Vreg word = mask(0xffff);
  return {b_.and_bits(sums.even, word), b_.and_bits(sums.odd, word), b_.shr_u32(sums.even, 16),
          b_.shr_u32(sums.odd, 16)};
}

std::vector<Vreg> WideSums::biased_lanes(int vector, Vreg bias) {
  const Words sums = words(vector);
  return {b_.blend_words(sums.even, bias), b_.blend_words(sums.odd, bias), b_.or_bits(b_.shr_u32(sums.even, 16), bias),
          b_.or_bits(b_.shr_u32(sums.odd, 16), bias)};
}

Words WideSums::words(int vector) {
  if (words_) return words_->words(vector);
  const Vreg bytes = bytes_[vector];
  return {b_.and_bits(bytes, mask(0x00ff00ff)), b_.shr_u16(bytes, 8)};
}

// The same one for all vectors.
Vreg WideSums::mask(uint32_t bits_of_lane) {
  const auto known = masks_.find(bits_of_lane);
  if (known != masks_.end()) return known->second;
  return masks_[bits_of_lane] = b_.broadcast_value("mask", bits_of_lane);
}

}  // namespace mithral::codegen
