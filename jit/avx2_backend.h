// AVX2, and AVX-VNNI where a target has it: one method per vector operation, named like it, one or a few instructions
// each. Sources are read before the result is written, because the result may share a source's register. Unaligned
// operands are allowed everywhere (VEX encoding).
#pragma once

#include "jit/assembler.h"

namespace mithral::jit {

class Avx2Backend {
 public:
  static constexpr FeatureSet kFeatures = {Feature::kHalfFloats, Feature::kPermute4,      Feature::kPermuteAll,
                                           Feature::kWordBlends, Feature::kFusedProducts, Feature::kByteDots};
  static constexpr int kVectorBytes = 32;
  static constexpr int kProgramRegs = 16;
  using Op = codegen::Op;

  explicit Avx2Backend(Assembler& assembler) : as_(assembler) {}

  void zero(const Op& op) { MITHRAL_INS(as_, vpxor, xmm(op.d), xmm(op.d), xmm(op.d)); }
  void load(const Op& op) { MITHRAL_INS(as_, vmovups, ymm(op.d), memory(op)); }
  void load_i8_f32(const Op& op) {
    MITHRAL_INS(as_, vpmovsxbd, ymm(op.d), memory(op));
    MITHRAL_INS(as_, vcvtdq2ps, ymm(op.d), ymm(op.d));
  }
  void load_u8_f32(const Op& op) {
    MITHRAL_INS(as_, vpmovzxbd, ymm(op.d), memory(op));
    MITHRAL_INS(as_, vcvtdq2ps, ymm(op.d), ymm(op.d));
  }
  void load_i16_f32(const Op& op) {
    MITHRAL_INS(as_, vpmovsxwd, ymm(op.d), memory(op));
    MITHRAL_INS(as_, vcvtdq2ps, ymm(op.d), ymm(op.d));
  }
  void load_bf16_f32(const Op& op) {
    MITHRAL_INS(as_, vpmovzxwd, ymm(op.d), memory(op));
    MITHRAL_INS(as_, vpslld, ymm(op.d), ymm(op.d), 16);
  }
  void load_f16_f32(const Op& op) { MITHRAL_INS(as_, vcvtph2ps, ymm(op.d), memory(op)); }
  void load_128(const Op& op) { MITHRAL_INS(as_, vmovups, xmm(op.d), memory(op)); }
  void insert_128(const Op& op) { MITHRAL_INS(as_, vinsertf128, ymm(op.d), ymm(op.a), memory(op), imm8(op)); }
  void broadcast_32(const Op& op) { MITHRAL_INS(as_, vbroadcastss, ymm(op.d), memory(op)); }
  void broadcast_128(const Op& op) { MITHRAL_INS(as_, vbroadcasti128, ymm(op.d), memory(op)); }
  void store(const Op& op) { MITHRAL_INS(as_, vmovups, memory(op), ymm(op.a)); }
  void store_segment(const Op& op) {
    if (op.imm == 0) {
      MITHRAL_INS(as_, vmovups, memory(op), xmm(op.a));
    } else {
      MITHRAL_INS(as_, vextractf128, memory(op), ymm(op.a), imm8(op));
    }
  }
  void stream(const Op& op) { MITHRAL_INS(as_, vmovntps, memory(op), ymm(op.a)); }
  void store_lanes(const Op& op);

  void less_f32(const Op& op) { MITHRAL_INS(as_, vcmpps, ymm(op.d), ymm(op.a), memory(op), kLessOrderedQuiet); }
  void max_f32_m(const Op& op) { MITHRAL_INS(as_, vmaxps, ymm(op.d), ymm(op.a), memory(op)); }
  void min_f32(const Op& op) { MITHRAL_INS(as_, vminps, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void less_f32_r(const Op& op) { MITHRAL_INS(as_, vcmpps, ymm(op.d), ymm(op.a), ymm(op.b), kLessOrderedQuiet); }
  void greater_i8(const Op& op) { MITHRAL_INS(as_, vpcmpgtb, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void greater_i8_m(const Op& op) { MITHRAL_INS(as_, vpcmpgtb, ymm(op.d), ymm(op.a), memory(op)); }
  void permute_4(const Op& op) { MITHRAL_INS(as_, vpermilps, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void permute_all(const Op& op) { MITHRAL_INS(as_, vpermps, ymm(op.d), ymm(op.b), ymm(op.a)); }
  void permute_all_m(const Op& op) { MITHRAL_INS(as_, vpermps, ymm(op.d), ymm(op.a), memory(op)); }
  void lookup_16(const Op& op) { MITHRAL_INS(as_, vpshufb, ymm(op.d), ymm(op.a), memory(op)); }
  void lookup_16_by(const Op& op) { MITHRAL_INS(as_, vpshufb, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void segment(const Op& op) {
    if (op.imm == 0) {
      MITHRAL_INS(as_, vmovaps, xmm(op.d), xmm(op.a));
    } else {
      MITHRAL_INS(as_, vextractf128, xmm(op.d), ymm(op.a), imm8(op));
    }
  }
  void blend_lane(const Op& op) {
    MITHRAL_INS(as_, vblendps, ymm(op.d), ymm(op.a), ymm(op.b), static_cast<uint8_t>(1 << op.imm));
  }
  void blend_sign(const Op& op) { MITHRAL_INS(as_, vblendvps, ymm(op.d), ymm(op.a), ymm(op.b), ymm(op.c)); }
  void blend_words(const Op& op) { MITHRAL_INS(as_, vpblendw, ymm(op.d), ymm(op.a), ymm(op.b), kOddWords); }
  void unpack_lo_32(const Op& op) { MITHRAL_INS(as_, vunpcklps, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void unpack_hi_32(const Op& op) { MITHRAL_INS(as_, vunpckhps, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void unpack_lo_64(const Op& op) { MITHRAL_INS(as_, vunpcklpd, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void unpack_hi_64(const Op& op) { MITHRAL_INS(as_, vunpckhpd, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void pack_i32_i16(const Op& op) { MITHRAL_INS(as_, vpackssdw, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void pack_i16_u8(const Op& op) { MITHRAL_INS(as_, vpackuswb, ymm(op.d), ymm(op.a), ymm(op.b)); }

  void add_u8(const Op& op) { MITHRAL_INS(as_, vpaddb, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void add_u8_m(const Op& op) { MITHRAL_INS(as_, vpaddb, ymm(op.d), ymm(op.a), memory(op)); }
  void add_sat_u8_m(const Op& op) { MITHRAL_INS(as_, vpaddusb, ymm(op.d), ymm(op.a), memory(op)); }
  void sub_u8(const Op& op) { MITHRAL_INS(as_, vpsubb, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void add_u16(const Op& op) { MITHRAL_INS(as_, vpaddw, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void sub_u16(const Op& op) { MITHRAL_INS(as_, vpsubw, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void shl_u16(const Op& op) { MITHRAL_INS(as_, vpsllw, ymm(op.d), ymm(op.a), imm8(op)); }
  void shr_u16(const Op& op) { MITHRAL_INS(as_, vpsrlw, ymm(op.d), ymm(op.a), imm8(op)); }
  void add_u32(const Op& op) { MITHRAL_INS(as_, vpaddd, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void sub_u32(const Op& op) { MITHRAL_INS(as_, vpsubd, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void shl_u32(const Op& op) { MITHRAL_INS(as_, vpslld, ymm(op.d), ymm(op.a), imm8(op)); }
  void shr_u32(const Op& op) { MITHRAL_INS(as_, vpsrld, ymm(op.d), ymm(op.a), imm8(op)); }
  // AVX-512 has an encoding of its own, which is Xbyak's default.
  void dot_u8(const Op& op) {
    const auto emit = [&](const auto&... operand) { as_.code().vpdpbusd(operand..., Xbyak::VexEncoding); };
    as_.ins("vpdpbusd", emit, ymm(op.d), ymm(op.b), ymm(op.c));
  }
  void dot_u8_u16(const Op& op) { MITHRAL_INS(as_, vpmaddubsw, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void dot_i16(const Op& op) { MITHRAL_INS(as_, vpmaddwd, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void and_bits(const Op& op) { MITHRAL_INS(as_, vpand, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void or_bits(const Op& op) { MITHRAL_INS(as_, vpor, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void i32_to_f32(const Op& op) { MITHRAL_INS(as_, vcvtdq2ps, ymm(op.d), ymm(op.a)); }
  void f32_to_i32(const Op& op) { MITHRAL_INS(as_, vcvtps2dq, ymm(op.d), ymm(op.a)); }
  void mul_f32(const Op& op) { MITHRAL_INS(as_, vmulps, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void mul_f32_m(const Op& op) { MITHRAL_INS(as_, vmulps, ymm(op.d), ymm(op.a), memory(op)); }
  void add_f32_m(const Op& op) { MITHRAL_INS(as_, vaddps, ymm(op.d), ymm(op.a), memory(op)); }
  void add_f32(const Op& op) { MITHRAL_INS(as_, vaddps, ymm(op.d), ymm(op.a), ymm(op.b)); }
  void mul_sub_f32(const Op& op);

  // After the last operation: no caller may pay for dirty upper halves.
  void leave() { MITHRAL_INS(as_, vzeroupper); }

 private:
  static constexpr uint8_t kLessOrderedQuiet = 0x11;  // vcmpps predicate LT_OQ: false, and silent, for NaN

  static constexpr uint8_t kOddWords = 0xaa;  // vpblendw: from the second source

  Xbyak::Ymm ymm(codegen::Vreg v) const { return as_.ymm(v); }
  Xbyak::Xmm xmm(codegen::Vreg v) const { return as_.xmm(v); }
  MemoryOperand memory(const Op& op) const { return as_.memory(op.mem); }
  static uint8_t imm8(const Op& op) { return static_cast<uint8_t>(op.imm); }

  Assembler& as_;
};

// The digits say which operands are multiplied; the first one is overwritten.
inline void Avx2Backend::mul_sub_f32(const Op& op) {
  const Xbyak::Ymm d = ymm(op.d), a = ymm(op.a), b = ymm(op.b), c = ymm(op.c);
  if (d == c) {
    MITHRAL_INS(as_, vfmsub231ps, d, a, b);
  } else if (d == b) {
    MITHRAL_INS(as_, vfmsub213ps, d, a, c);
  } else {
    if (d != a) MITHRAL_INS(as_, vmovaps, d, a);
    MITHRAL_INS(as_, vfmsub213ps, d, b, c);
  }
}

// One to four lanes in pieces: cheaper on every AVX2 CPU than vmaskmovps, whose store Zen runs as microcode.
inline void Avx2Backend::store_lanes(const Op& op) {
  switch (op.imm) {
    case 1: MITHRAL_INS(as_, vmovss, memory(op), xmm(op.a)); return;
    case 2: MITHRAL_INS(as_, vmovlps, memory(op), xmm(op.a)); return;
    case 3:
      MITHRAL_INS(as_, vmovlps, memory(op), xmm(op.a));
      MITHRAL_INS(as_, vextractps, as_.memory(op.mem, 8), xmm(op.a), uint8_t{2});
      return;
    default: MITHRAL_INS(as_, vmovups, memory(op), xmm(op.a));
  }
}

}  // namespace mithral::jit
