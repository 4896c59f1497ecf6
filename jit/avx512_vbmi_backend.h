// AVX-512 with VBMI and VNNI: what avx512_backend.h has, look-ups in tables of whole registers, sums of bytes.
#pragma once

#include "jit/avx512_backend.h"

namespace mithral::jit {

class Avx512VbmiBackend : public Avx512Backend {
 public:
  static constexpr FeatureSet kFeatures = Avx512Backend::kFeatures.with({Feature::kByteTables, Feature::kByteDots});

  using Avx512Backend::Avx512Backend;

  void lookup_64(const Op& op) { MITHRAL_INS(as_, vpermb, d(op), b(op), a(op)); }
  void lookup_128(const Op& op);
  void dot_u8(const Op& op) { MITHRAL_INS(as_, vpdpbusd, d(op), b(op), c(op)); }
};

// Two instructions do it: one overwrites the indices, the other the first table.
inline void Avx512VbmiBackend::lookup_128(const Op& op) {
  if (is_d(op, op.a)) {
    MITHRAL_INS(as_, vpermt2b, d(op), c(op), b(op));
  } else {
    const Xbyak::Zmm high = is_d(op, op.c) ? b(op) : kept(op, op.b);
    move(d(op), c(op));
    MITHRAL_INS(as_, vpermi2b, d(op), a(op), high);
  }
}

}  // namespace mithral::jit
