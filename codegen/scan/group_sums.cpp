#include "codegen/scan/group_sums.h"

namespace mithral::codegen {

GroupSums::GroupSums(ProgramBuilder& b, int n_groups) : b_(b), one_group_(n_groups == 1) {
  if (n_groups > 1) odd_bytes_ = b_.broadcast_value("odd bytes", 0x01000100);
}

void GroupSums::add(const std::vector<Vreg>& bytes) {
  if (one_group_) {
    bytes_ = bytes;
    return;
  }
  const bool first = pairs_.empty();
  for (size_t v = 0; v < bytes.size(); ++v) {
    const Vreg odd = b_.dot_u8_u16(bytes[v], odd_bytes_);
    if (first) {
      pairs_.push_back(bytes[v]);
      odds_.push_back(odd);
    } else {
      b_.add_u16_to(pairs_[v], pairs_[v], bytes[v]);
      b_.add_u16_to(odds_[v], odds_[v], odd);
    }
  }
}

std::vector<Vreg> GroupSums::lanes(int vector) {
  if (bytes_.empty() && pairs_.empty()) return {b_.zero(), b_.zero(), b_.zero(), b_.zero()};
  if (one_group_) {
    const Vreg bytes = bytes_[vector], byte = mask(0xff);
    return {b_.and_bits(bytes, byte), b_.and_bits(b_.shr_u32(bytes, 8), byte), b_.and_bits(b_.shr_u32(bytes, 16), byte),
            b_.shr_u32(bytes, 24)};
  }
  const Words sums = words(vector);
  const Vreg word = mask(0xffff);
  return {b_.and_bits(sums.even, word), b_.and_bits(sums.odd, word), b_.shr_u32(sums.even, 16),
          b_.shr_u32(sums.odd, 16)};
}

std::vector<Vreg> GroupSums::biased_lanes(int vector, Vreg bias) {
  const Words sums = words(vector);
  return {b_.blend_words(sums.even, bias), b_.blend_words(sums.odd, bias), b_.or_bits(b_.shr_u32(sums.even, 16), bias),
          b_.or_bits(b_.shr_u32(sums.odd, 16), bias)};
}

GroupSums::Words GroupSums::words(int vector) {
  if (!one_group_) return {b_.sub_u16(pairs_[vector], b_.shl_u16(odds_[vector], 8)), odds_[vector]};
  const Vreg bytes = bytes_[vector];
  return {b_.and_bits(bytes, mask(0x00ff00ff)), b_.shr_u16(bytes, 8)};
}

Vreg GroupSums::mask(uint32_t bits_of_lane) {
  const auto known = masks_.find(bits_of_lane);
  if (known != masks_.end()) return known->second;
  return masks_[bits_of_lane] = b_.broadcast_value("mask", bits_of_lane);
}

}  // namespace mithral::codegen
