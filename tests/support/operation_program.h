// Programs of one vector operation.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "codegen/program/program_builder.h"

namespace mithral::testing {

inline constexpr codegen::Opcode kVectorOps[] = {
#define VECTOR_OP(name, form, needs, meaning) codegen::Opcode::name,
#define SCALAR_OP(name, form, meaning)
#define LOOP_OP(name, form, meaning)
#include "codegen/program/ops.def"
#undef VECTOR_OP
#undef SCALAR_OP
#undef LOOP_OP
};

// The limits of an operation's immediate, and something in between.
inline std::vector<int64_t> immediates(codegen::Opcode code, const Target& target) {
  using codegen::Opcode;
  switch (code) {
    case Opcode::blend_lane: return {0, 1, target.lanes() - 1};
    case Opcode::store_first: return {1, 4, 7, target.lanes() - 1, target.lanes()};
    case Opcode::segment:
    case Opcode::insert_128: return {0, target.lanes() / 4 - 1};
    case Opcode::store_lanes: return {1, 2, 3, 4};
    case Opcode::shl_u16:
    case Opcode::shr_u16: return {0, 1, 8, 15};
    case Opcode::shl_u32:
    case Opcode::shr_u32: return {0, 1, 8, 31};
    default: return {0};
  }
}

// Which machine registers and which address an operation gets.
struct Surroundings {
  int registers_in_use = 0;  // by something else throughout, of vectors and of pointers, so that high ones are left
  int kept_sources = 0;      // bits of a, b and c: the result may not share this one's register
  bool has_index = false;    // of the memory operand
  int32_t disp = 0;          // of the memory operand
};
inline constexpr int kKeepNone = 0, kKeepAll = 7;  // a, b and c are 1, 2 and 4
inline constexpr int kRegistersOfOperation = 4;    // a, b, c and the result; three pointers and the index

// void(a, b, to, index): loads a, b, and c, which is behind a, applies the operation to them (and to b in memory),
// stores the result.
inline codegen::Program operation_program(codegen::Opcode code, const Target& target, int64_t imm,
                                          const Surroundings& around = {}) {
  using namespace codegen;
  ProgramBuilder b("operation", target, {"a", "b", "to", "index"});
  const Preg first = b.arg(0);
  std::vector<Vreg> kept;
  for (int i = 0; i < std::min(around.registers_in_use, target.n_vector_regs - kRegistersOfOperation); ++i) {
    kept.push_back(b.load(at(first)));
  }
  std::vector<Preg> kept_pointers = {first};
  for (int i = 0; i < std::min(around.registers_in_use, target.n_pointer_regs - kRegistersOfOperation); ++i) {
    kept_pointers.push_back(b.arg(0));
  }
  const Vreg x = b.load(at(first)), z = b.load(at(first, target.vector_bytes));
  const Preg memory = b.arg(1);
  const Vreg y = b.load(at(memory));
  const Preg to = b.arg(2);
  const Preg index = around.has_index ? b.arg(3) : kNoPreg;
  Program program = b.finish();

  Op op{.code = code};
  const Form form = info(code).form;
  const Vreg d{program.n_vregs};
  const bool is_store = form == Form::MV || form == Form::MVI;
  if (code == Opcode::dot_u8) {
    op.d = x;
  } else if (!is_store) {
    op.d = d;
    program.n_vregs++;
  }
  if (form != Form::V_ && form != Form::V_M) op.a = x;
  const bool reads_c = form == Form::V_VVV || form == Form::V_VVVM;
  if (reads_c || form == Form::V_VV || form == Form::V_VVI || form == Form::V_VVM) op.b = y;
  if (reads_c) op.c = z;
  if (has_memory(form)) op.mem = {.base = is_store ? to : memory, .index = index, .disp = around.disp};
  if (has_immediate(form)) op.imm = imm;
  program.ops.push_back(op);

  int bit = 1;
  for (const Vreg source : {x, y, z}) {
    if (around.kept_sources & bit) kept.push_back(source);
    bit *= 2;
  }
  for (const Vreg v : kept) program.ops.push_back({.code = Opcode::store, .a = v, .mem = at(to)});
  for (const Preg p : kept_pointers) program.ops.push_back({.code = Opcode::prefetch, .mem = at(p)});
  if (!is_store) program.ops.push_back({.code = Opcode::store, .a = op.d, .mem = at(to)});
  verify(program);
  return program;
}

}  // namespace mithral::testing
