#include "codegen/wide_sums.h"

namespace mithral::codegen {

// In three operations a group: adding whole pairs (odd * 256 + even) modulo 2^16 and the odd bytes alone; even sums are
// recovered at the end as pairs - odd * 256.
void WideSums::add(const std::vector<Vreg>& sums, bool only) {
  if (only) {
    bytes_ = sums;
    return;
  }
  const bool first = totals_.empty();
  for (size_t i = 0; i < sums.size(); ++i) {
    const Vreg odd = b_.shr_u16(sums[i], 8);
    if (first) {
      totals_.push_back(sums[i]);
      odds_.push_back(odd);
    } else {
      b_.add_u16_to(totals_[i], totals_[i], sums[i]);
      b_.add_u16_to(odds_[i], odds_[i], odd);
    }
  }
}

std::vector<Vreg> WideSums::lanes(int vector) const {
  if (!bytes_.empty()) {
    const Vreg mask = b_.broadcast_value("mask", 0xff), bytes = bytes_[vector];
    return {b_.and_bits(bytes, mask), b_.and_bits(b_.shr_u32(bytes, 8), mask), b_.and_bits(b_.shr_u32(bytes, 16), mask),
            b_.shr_u32(bytes, 24)};
  }
  const Vreg mask = b_.broadcast_value("mask", 0xffff), odd = odds_[vector];
  const Vreg even = b_.sub_u16(totals_[vector], b_.shl_u16(odd, 8));
  return {b_.and_bits(even, mask), b_.and_bits(odd, mask), b_.shr_u32(even, 16), b_.shr_u32(odd, 16)};
}

}  // namespace mithral::codegen
