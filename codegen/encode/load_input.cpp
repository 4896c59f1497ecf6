#include "codegen/encode/load_input.h"

namespace mithral::codegen {
namespace {

// binary16 without an instruction for it. Its magnitude where a float32 has its own is 2^112 times too small, exactly,
// subnormals included; infinities and NaN are what is too large then, and lack the rest of their exponent.
Vreg widen_f16(ProgramBuilder& b, Mem m) {
  const Vreg upper_half = b.load_bf16_f32(m);
  const Vreg magnitude = b.shr_u32(b.shl_u32(upper_half, 1), 4);
  const Vreg scaled = b.mul_f32(magnitude, b.broadcast_value("2^112", 0x77800000));
  const Vreg is_beyond = b.less_f32_r(b.broadcast_value("largest float16", 0x477fe000), scaled);
  const Vreg rest_of_exponent = b.and_bits(is_beyond, b.broadcast_value("rest of the exponent", 112u << 23));
  const Vreg sign = b.shl_u32(b.shr_u32(upper_half, 31), 31);
  return b.add_u32(b.add_u32(scaled, rest_of_exponent), sign);
}

}  // namespace

Vreg load_as_f32(ProgramBuilder& b, const Target& target, InputType type, Mem m) {
  switch (type) {
    case InputType::kFloat32: return b.load(m);
    case InputType::kInt8: return b.load_i8_f32(m);
    case InputType::kUint8: return b.load_u8_f32(m);
    case InputType::kInt16: return b.load_i16_f32(m);
    case InputType::kBfloat16: return b.load_bf16_f32(m);
    case InputType::kFloat16: return target.has(Feature::kHalfFloats) ? b.load_f16_f32(m) : widen_f16(b, m);
  }
  throw InternalError("unknown input type");
}

int registers_to_load(const Target& target, InputType type) {
  return type == InputType::kFloat16 && !target.has(Feature::kHalfFloats) ? 4 : 1;
}

}  // namespace mithral::codegen
