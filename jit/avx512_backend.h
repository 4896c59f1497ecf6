// AVX-512 F, BW, DQ and VL: one method per vector operation, named like it. Compares and tails go through mask register
// k1; zmm31 is scratch that programs do not get (target.cpp). The result may share a source's register, so what is
// still to be read after it has been written is kept there.
#pragma once

#include "jit/assembler.h"

namespace mithral::jit {

class Avx512Backend {
 public:
  static constexpr FeatureSet kFeatures = {Feature::kHalfFloats, Feature::kPermute4, Feature::kPermuteAll,
                                           Feature::kPermuteTwo, Feature::kMasks};
  static constexpr int kVectorBytes = 64;
  static constexpr int kProgramRegs = 31;
  using Op = codegen::Op;

  explicit Avx512Backend(Assembler& assembler) : as_(assembler) {}

  void zero(const Op& op) { MITHRAL_INS(as_, vpxord, d(op), d(op), d(op)); }
  void load(const Op& op) { MITHRAL_INS(as_, vmovups, d(op), memory(op)); }
  void load_i8_f32(const Op& op) {
    MITHRAL_INS(as_, vpmovsxbd, d(op), memory(op));
    MITHRAL_INS(as_, vcvtdq2ps, d(op), d(op));
  }
  void load_u8_f32(const Op& op) {
    MITHRAL_INS(as_, vpmovzxbd, d(op), memory(op));
    MITHRAL_INS(as_, vcvtdq2ps, d(op), d(op));
  }
  void load_i16_f32(const Op& op) {
    MITHRAL_INS(as_, vpmovsxwd, d(op), memory(op));
    MITHRAL_INS(as_, vcvtdq2ps, d(op), d(op));
  }
  void load_bf16_f32(const Op& op) {
    MITHRAL_INS(as_, vpmovzxwd, d(op), memory(op));
    MITHRAL_INS(as_, vpslld, d(op), d(op), 16);
  }
  void load_f16_f32(const Op& op) { MITHRAL_INS(as_, vcvtph2ps, d(op), memory(op)); }
  void load_128(const Op& op) { MITHRAL_INS(as_, vmovups, as_.xmm(op.d), memory(op)); }
  void insert_128(const Op& op) { MITHRAL_INS(as_, vinsertf32x4, d(op), a(op), memory(op), imm8(op)); }
  void broadcast_32(const Op& op) { MITHRAL_INS(as_, vbroadcastss, d(op), memory(op)); }
  void broadcast_128(const Op& op) { MITHRAL_INS(as_, vbroadcasti32x4, d(op), memory(op)); }
  void store(const Op& op) { MITHRAL_INS(as_, vmovups, memory(op), a(op)); }
  void store_segment(const Op& op) {
    if (op.imm == 0) {
      MITHRAL_INS(as_, vmovups, memory(op), as_.xmm(op.a));
    } else {
      MITHRAL_INS(as_, vextractf32x4, memory(op), a(op), imm8(op));
    }
  }
  void stream(const Op& op) { MITHRAL_INS(as_, vmovntps, memory(op), a(op)); }
  void store_lanes(const Op& op) { store_first(op); }
  void store_first(const Op& op) {
    mask_lanes(0, static_cast<int>(op.imm));
    MITHRAL_INS(as_, vmovups, memory(op) | k1(), a(op));
  }

  void less_f32(const Op& op) {
    MITHRAL_INS(as_, vcmpps, k1(), a(op), memory(op), kLessOrderedQuiet);
    MITHRAL_INS(as_, vpmovm2d, d(op), k1());
  }
  void pick_less(const Op& op) {
    MITHRAL_INS(as_, vcmpps, k1(), b(op), memory(op), kLessOrderedQuiet);
    MITHRAL_INS(as_, vblendmps, d(op) | k1(), a(op), c(op));
  }
  void max_f32_m(const Op& op) { MITHRAL_INS(as_, vmaxps, d(op), a(op), memory(op)); }
  void min_f32(const Op& op) { MITHRAL_INS(as_, vminps, d(op), a(op), b(op)); }
  void less_f32_r(const Op& op) {
    MITHRAL_INS(as_, vcmpps, k1(), a(op), b(op), kLessOrderedQuiet);
    MITHRAL_INS(as_, vpmovm2d, d(op), k1());
  }
  void greater_i8(const Op& op) {
    MITHRAL_INS(as_, vpcmpgtb, k1(), a(op), b(op));
    MITHRAL_INS(as_, vpmovm2b, d(op), k1());
  }
  void greater_i8_m(const Op& op) {
    MITHRAL_INS(as_, vpcmpgtb, k1(), a(op), memory(op));
    MITHRAL_INS(as_, vpmovm2b, d(op), k1());
  }
  void descend(const Op& op) {
    MITHRAL_INS(as_, vcmpps, k1(), b(op), memory(op), kLessOrderedQuiet);
    const Xbyak::Zmm step = kept(op, op.c);
    MITHRAL_INS(as_, vpaddd, d(op), a(op), a(op));
    MITHRAL_INS(as_, vpaddd, d(op) | k1(), d(op), step);
  }
  void permute_4(const Op& op) { MITHRAL_INS(as_, vpermilps, d(op), a(op), b(op)); }
  void permute_all(const Op& op) { MITHRAL_INS(as_, vpermps, d(op), b(op), a(op)); }
  void permute_all_m(const Op& op) { MITHRAL_INS(as_, vpermps, d(op), a(op), memory(op)); }
  void permute_two_m(const Op& op);
  void lookup_16(const Op& op) { MITHRAL_INS(as_, vpshufb, d(op), a(op), memory(op)); }
  void lookup_16_by(const Op& op) { MITHRAL_INS(as_, vpshufb, d(op), a(op), b(op)); }
  void segment(const Op& op) { MITHRAL_INS(as_, vextractf32x4, as_.xmm(op.d), a(op), imm8(op)); }
  void blend_lane(const Op& op) {
    mask_lanes(static_cast<int>(op.imm), 1);
    MITHRAL_INS(as_, vblendmps, d(op) | k1(), a(op), b(op));
  }
  void blend_sign(const Op& op) {
    MITHRAL_INS(as_, vpmovd2m, k1(), c(op));
    MITHRAL_INS(as_, vblendmps, d(op) | k1(), a(op), b(op));
  }
  void blend_sign_u8(const Op& op) {
    MITHRAL_INS(as_, vpmovb2m, k1(), c(op));
    MITHRAL_INS(as_, vpblendmb, d(op) | k1(), a(op), b(op));
  }
  void unpack_lo_32(const Op& op) { MITHRAL_INS(as_, vunpcklps, d(op), a(op), b(op)); }
  void unpack_hi_32(const Op& op) { MITHRAL_INS(as_, vunpckhps, d(op), a(op), b(op)); }
  void unpack_lo_64(const Op& op) { MITHRAL_INS(as_, vunpcklpd, d(op), a(op), b(op)); }
  void unpack_hi_64(const Op& op) { MITHRAL_INS(as_, vunpckhpd, d(op), a(op), b(op)); }
  void pack_i32_i16(const Op& op) { MITHRAL_INS(as_, vpackssdw, d(op), a(op), b(op)); }
  void pack_i16_u8(const Op& op) { MITHRAL_INS(as_, vpackuswb, d(op), a(op), b(op)); }

  void add_u8(const Op& op) { MITHRAL_INS(as_, vpaddb, d(op), a(op), b(op)); }
  void add_u8_m(const Op& op) { MITHRAL_INS(as_, vpaddb, d(op), a(op), memory(op)); }
  void add_sat_u8_m(const Op& op) { MITHRAL_INS(as_, vpaddusb, d(op), a(op), memory(op)); }
  void sub_u8(const Op& op) { MITHRAL_INS(as_, vpsubb, d(op), a(op), b(op)); }
  void add_u16(const Op& op) { MITHRAL_INS(as_, vpaddw, d(op), a(op), b(op)); }
  void sub_u16(const Op& op) { MITHRAL_INS(as_, vpsubw, d(op), a(op), b(op)); }
  void shl_u16(const Op& op) { MITHRAL_INS(as_, vpsllw, d(op), a(op), imm8(op)); }
  void shr_u16(const Op& op) { MITHRAL_INS(as_, vpsrlw, d(op), a(op), imm8(op)); }
  void add_u32(const Op& op) { MITHRAL_INS(as_, vpaddd, d(op), a(op), b(op)); }
  void sub_u32(const Op& op) { MITHRAL_INS(as_, vpsubd, d(op), a(op), b(op)); }
  void shl_u32(const Op& op) { MITHRAL_INS(as_, vpslld, d(op), a(op), imm8(op)); }
  void shr_u32(const Op& op) { MITHRAL_INS(as_, vpsrld, d(op), a(op), imm8(op)); }
  void dot_u8_u16(const Op& op) { MITHRAL_INS(as_, vpmaddubsw, d(op), a(op), b(op)); }
  void dot_i16(const Op& op) { MITHRAL_INS(as_, vpmaddwd, d(op), a(op), b(op)); }
  void and_bits(const Op& op) { MITHRAL_INS(as_, vpandd, d(op), a(op), b(op)); }
  void i32_to_f32(const Op& op) { MITHRAL_INS(as_, vcvtdq2ps, d(op), a(op)); }
  void f32_to_i32(const Op& op) { MITHRAL_INS(as_, vcvtps2dq, d(op), a(op)); }
  void mul_f32(const Op& op) { MITHRAL_INS(as_, vmulps, d(op), a(op), b(op)); }
  void mul_f32_m(const Op& op) { MITHRAL_INS(as_, vmulps, d(op), a(op), memory(op)); }
  void add_f32_m(const Op& op) { MITHRAL_INS(as_, vaddps, d(op), a(op), memory(op)); }
  void add_f32(const Op& op) { MITHRAL_INS(as_, vaddps, d(op), a(op), b(op)); }

  // After the last operation: no caller may pay for dirty upper halves.
  void leave() { MITHRAL_INS(as_, vzeroupper); }

 protected:
  static Xbyak::Opmask k1() { return Xbyak::Opmask(1); }
  Xbyak::Zmm d(const Op& op) const { return as_.zmm(op.d); }
  Xbyak::Zmm a(const Op& op) const { return as_.zmm(op.a); }
  Xbyak::Zmm b(const Op& op) const { return as_.zmm(op.b); }
  Xbyak::Zmm c(const Op& op) const { return as_.zmm(op.c); }
  MemoryOperand memory(const Op& op) const { return as_.memory(op.mem); }

  bool is_d(const Op& op, codegen::Vreg source) const { return as_.zmm(source).getIdx() == d(op).getIdx(); }

  void move(const Xbyak::Zmm& to, const Xbyak::Zmm& from) {
    if (to.getIdx() != from.getIdx()) MITHRAL_INS(as_, vmovups, to, from);
  }
  // The source, out of the way of a d that is written before it is read.
  Xbyak::Zmm kept(const Op& op, codegen::Vreg source) {
    if (!is_d(op, source)) return as_.zmm(source);
    const Xbyak::Zmm scratch(kProgramRegs);
    move(scratch, as_.zmm(source));
    return scratch;
  }

  Assembler& as_;

 private:
  static constexpr uint8_t kLessOrderedQuiet = 0x11;  // vcmpps predicate LT_OQ: false, and silent, for NaN
  static constexpr int kLanes = 16;

  static uint8_t imm8(const Op& op) { return static_cast<uint8_t>(op.imm); }

  // k1 = `count` lanes from `first` on, without a general register. kxnorw clears the bits above sixteen. The shifts
  // are those of 32 bits, as fast as those of 16, because bochs 2.7 shifts sixteen by 15 to nothing.
  void mask_lanes(int first, int count) {
    MITHRAL_INS(as_, kxnorw, k1(), k1(), k1());
    if (count < kLanes) MITHRAL_INS(as_, kshiftrd, k1(), k1(), static_cast<uint8_t>(kLanes - count));
    if (first > 0) MITHRAL_INS(as_, kshiftld, k1(), k1(), static_cast<uint8_t>(first));
  }
};

// Two instructions do it: one overwrites the indices, the other the first table.
inline void Avx512Backend::permute_two_m(const Op& op) {
  if (is_d(op, op.a)) {
    MITHRAL_INS(as_, vpermt2ps, d(op), b(op), memory(op));
  } else {
    move(d(op), b(op));
    MITHRAL_INS(as_, vpermi2ps, d(op), a(op), memory(op));
  }
}

}  // namespace mithral::jit
