// SSE4.1: one method per vector operation, named like it. Instructions overwrite their first operand, and memory
// operands would have to be aligned; so sources are brought into place first, by way of two registers that programs do
// not get (target.cpp). Correct and small rather than fast: CPUs without AVX2 are old.
#pragma once

#include "jit/assembler.h"

namespace mithral::jit {

class Sse41Backend {
 public:
  static constexpr FeatureSet kFeatures = {};
  static constexpr int kVectorBytes = 16;
  static constexpr int kProgramRegs = 14;
  using Op = codegen::Op;

  explicit Sse41Backend(Assembler& assembler) : as_(assembler) {}

  void zero(const Op& op) { MITHRAL_INS(as_, pxor, d(op), d(op)); }
  void load(const Op& op) { MITHRAL_INS(as_, movups, d(op), memory(op)); }
  void load_i8_f32(const Op& op) {
    MITHRAL_INS(as_, pmovsxbd, d(op), memory(op));
    MITHRAL_INS(as_, cvtdq2ps, d(op), d(op));
  }
  void load_u8_f32(const Op& op) {
    MITHRAL_INS(as_, pmovzxbd, d(op), memory(op));
    MITHRAL_INS(as_, cvtdq2ps, d(op), d(op));
  }
  void load_i16_f32(const Op& op) {
    MITHRAL_INS(as_, pmovsxwd, d(op), memory(op));
    MITHRAL_INS(as_, cvtdq2ps, d(op), d(op));
  }
  void load_bf16_f32(const Op& op) {
    MITHRAL_INS(as_, pmovzxwd, d(op), memory(op));
    MITHRAL_INS(as_, pslld, d(op), 16);
  }
  void load_128(const Op& op) { load(op); }
  void insert_128(const Op& op) { load(op); }
  void broadcast_32(const Op& op) {
    MITHRAL_INS(as_, movss, d(op), memory(op));
    MITHRAL_INS(as_, shufps, d(op), d(op), uint8_t{0});
  }
  void broadcast_128(const Op& op) { load(op); }
  void store(const Op& op) { MITHRAL_INS(as_, movups, memory(op), xmm(op.a)); }
  void store_segment(const Op& op) { store(op); }
  void stream(const Op& op) { MITHRAL_INS(as_, movntps, memory(op), xmm(op.a)); }
  void store_lanes(const Op& op);

  void less_f32(const Op& op) { MITHRAL_INS(as_, cmpps, d(op), a_then_m(op), kLessOrdered); }
  void max_f32_m(const Op& op) { MITHRAL_INS(as_, maxps, d(op), a_then_m(op)); }
  void min_f32(const Op& op) { MITHRAL_INS(as_, minps, d(op), a_then_b(op)); }
  void less_f32_r(const Op& op) { MITHRAL_INS(as_, cmpps, d(op), a_then_b(op), kLessOrdered); }
  void greater_i8(const Op& op) { MITHRAL_INS(as_, pcmpgtb, d(op), a_then_b(op)); }
  void greater_i8_m(const Op& op) { MITHRAL_INS(as_, pcmpgtb, d(op), a_then_m(op)); }
  void lookup_16(const Op& op) { MITHRAL_INS(as_, pshufb, d(op), a_then_m(op)); }
  void lookup_16_by(const Op& op) { MITHRAL_INS(as_, pshufb, d(op), a_then_b(op)); }
  void segment(const Op& op) { MITHRAL_INS(as_, movaps, d(op), xmm(op.a)); }
  void blend_lane(const Op& op) { MITHRAL_INS(as_, blendps, d(op), a_then_b(op), static_cast<uint8_t>(1 << op.imm)); }
  void blend_sign(const Op& op);
  void unpack_lo_32(const Op& op) { MITHRAL_INS(as_, unpcklps, d(op), a_then_b(op)); }
  void unpack_hi_32(const Op& op) { MITHRAL_INS(as_, unpckhps, d(op), a_then_b(op)); }
  void unpack_lo_64(const Op& op) { MITHRAL_INS(as_, unpcklpd, d(op), a_then_b(op)); }
  void unpack_hi_64(const Op& op) { MITHRAL_INS(as_, unpckhpd, d(op), a_then_b(op)); }
  void pack_i32_i16(const Op& op) { MITHRAL_INS(as_, packssdw, d(op), a_then_b(op)); }
  void pack_i16_u8(const Op& op) { MITHRAL_INS(as_, packuswb, d(op), a_then_b(op)); }

  void add_u8(const Op& op) { MITHRAL_INS(as_, paddb, d(op), a_then_b(op)); }
  void add_u8_m(const Op& op) { MITHRAL_INS(as_, paddb, d(op), a_then_m(op)); }
  void add_sat_u8_m(const Op& op) { MITHRAL_INS(as_, paddusb, d(op), a_then_m(op)); }
  void sub_u8(const Op& op) { MITHRAL_INS(as_, psubb, d(op), a_then_b(op)); }
  void add_u16(const Op& op) { MITHRAL_INS(as_, paddw, d(op), a_then_b(op)); }
  void sub_u16(const Op& op) { MITHRAL_INS(as_, psubw, d(op), a_then_b(op)); }
  void shl_u16(const Op& op) { MITHRAL_INS(as_, psllw, a(op), static_cast<int>(op.imm)); }
  void shr_u16(const Op& op) { MITHRAL_INS(as_, psrlw, a(op), static_cast<int>(op.imm)); }
  void add_u32(const Op& op) { MITHRAL_INS(as_, paddd, d(op), a_then_b(op)); }
  void sub_u32(const Op& op) { MITHRAL_INS(as_, psubd, d(op), a_then_b(op)); }
  void shl_u32(const Op& op) { MITHRAL_INS(as_, pslld, a(op), static_cast<int>(op.imm)); }
  void shr_u32(const Op& op) { MITHRAL_INS(as_, psrld, a(op), static_cast<int>(op.imm)); }
  void dot_u8_u16(const Op& op) { MITHRAL_INS(as_, pmaddubsw, d(op), a_then_b(op)); }
  void dot_i16(const Op& op) { MITHRAL_INS(as_, pmaddwd, d(op), a_then_b(op)); }
  void and_bits(const Op& op) { MITHRAL_INS(as_, pand, d(op), a_then_b(op)); }
  void i32_to_f32(const Op& op) { MITHRAL_INS(as_, cvtdq2ps, d(op), xmm(op.a)); }
  void f32_to_i32(const Op& op) { MITHRAL_INS(as_, cvtps2dq, d(op), xmm(op.a)); }
  void mul_f32(const Op& op) { MITHRAL_INS(as_, mulps, d(op), a_then_b(op)); }
  void mul_f32_m(const Op& op) { MITHRAL_INS(as_, mulps, d(op), a_then_m(op)); }
  void add_f32_m(const Op& op) { MITHRAL_INS(as_, addps, d(op), a_then_m(op)); }
  void add_f32(const Op& op) { MITHRAL_INS(as_, addps, d(op), a_then_b(op)); }

  // After the last operation: nothing to clean up.
  void leave() {}

 private:
  static constexpr uint8_t kLessOrdered = 1;  // cmpps predicate LT: false for NaN
  static constexpr int kScratch = kProgramRegs, kSecondScratch = kProgramRegs + 1;

  Xbyak::Xmm xmm(codegen::Vreg v) const { return as_.xmm(v); }
  Xbyak::Xmm d(const Op& op) const { return xmm(op.d); }
  MemoryOperand memory(const Op& op) const { return as_.memory(op.mem); }

  void move(const Xbyak::Xmm& to, const Xbyak::Xmm& from) {
    if (to.getIdx() != from.getIdx()) MITHRAL_INS(as_, movaps, to, from);
  }

  // Each puts a into d and returns the instruction's last operand.
  Xbyak::Xmm a(const Op& op) {
    move(d(op), xmm(op.a));
    return d(op);
  }
  Xbyak::Xmm a_then_b(const Op& op) {
    Xbyak::Xmm b = xmm(op.b);
    if (b.getIdx() == d(op).getIdx() && op.a != op.b) {
      b = Xbyak::Xmm(kScratch);
      move(b, xmm(op.b));
    }
    a(op);
    return b;
  }
  Xbyak::Xmm a_then_m(const Op& op) {
    const Xbyak::Xmm m(kScratch);
    MITHRAL_INS(as_, movups, m, memory(op));
    a(op);
    return m;
  }

  Assembler& as_;
};

inline void Sse41Backend::store_lanes(const Op& op) {
  switch (op.imm) {
    case 1: MITHRAL_INS(as_, movss, memory(op), xmm(op.a)); return;
    case 2: MITHRAL_INS(as_, movlps, memory(op), xmm(op.a)); return;
    case 3:
      MITHRAL_INS(as_, movlps, memory(op), xmm(op.a));
      MITHRAL_INS(as_, extractps, as_.memory(op.mem, 8), xmm(op.a), uint8_t{2});
      return;
    default: store(op);
  }
}

// a ^ ((a ^ b) & mask): blendvps would need its mask in xmm0.
inline void Sse41Backend::blend_sign(const Op& op) {
  const Xbyak::Xmm mask(kScratch), difference(kSecondScratch);
  move(mask, xmm(op.c));
  MITHRAL_INS(as_, psrad, mask, 31);
  move(difference, xmm(op.b));
  MITHRAL_INS(as_, pxor, difference, xmm(op.a));
  MITHRAL_INS(as_, pand, difference, mask);
  MITHRAL_INS(as_, pxor, a(op), difference);
}

}  // namespace mithral::jit
