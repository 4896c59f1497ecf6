// Writes programs: one method per operation of ops.def, named like it.
//
//     Vreg sum = b.add_u8(x, y);      a new register
//     b.add_u8_to(sum, sum, z);       into an existing one, for accumulators
#pragma once

#include <bit>
#include <string>
#include <type_traits>
#include <utility>

#include "codegen/model/error.h"
#include "codegen/program/program.h"
#include "codegen/program/routine.h"

namespace mithral::codegen {

class ProgramBuilder {
 public:
  ProgramBuilder(std::string name, const Target& target, std::vector<std::string> args) {
    program_.name = std::move(name);
    program_.target = target;
    program_.args = std::move(args);
  }

  // The program of a routine, its arguments under their names.
  ProgramBuilder(const RoutineId& id, const Target& target)
      : ProgramBuilder(routine_name(id), target, {argument_names(id.kind).begin(), argument_names(id.kind).end()}) {}

  // An argument by its name in the routine's struct: `b.arg(ScanArguments::Index::codes)`.
  template <typename Index>
  requires std::is_enum_v<Index> Preg arg(Index index) { return arg(static_cast<int64_t>(index)); }

  // Operations, by form. The methods that return a register allocate a new one.
#define BUILD_V_(name) \
  Vreg name() { return push({.code = Opcode::name, .d = new_vreg()}).d; }
#define BUILD_V_M(name) \
  Vreg name(Mem m) { return push({.code = Opcode::name, .d = new_vreg(), .mem = m}).d; }
#define BUILD_V_V(name) \
  Vreg name(Vreg a) { return push({.code = Opcode::name, .d = new_vreg(), .a = a}).d; }
#define BUILD_V_VI(name) \
  Vreg name(Vreg a, int64_t i) { return push({.code = Opcode::name, .d = new_vreg(), .a = a, .imm = i}).d; }
#define BUILD_V_VV(name)                                                                           \
  void name##_to(Vreg d, Vreg a, Vreg b) { push({.code = Opcode::name, .d = d, .a = a, .b = b}); } \
  Vreg name(Vreg a, Vreg b) { return push({.code = Opcode::name, .d = new_vreg(), .a = a, .b = b}).d; }
#define BUILD_V_VVV(name)                                                                                          \
  void name##_to(Vreg d, Vreg a, Vreg b, Vreg c) { push({.code = Opcode::name, .d = d, .a = a, .b = b, .c = c}); } \
  Vreg name(Vreg a, Vreg b, Vreg c) { return push({.code = Opcode::name, .d = new_vreg(), .a = a, .b = b, .c = c}).d; }
#define BUILD_V_VVI(name)                                                             \
  Vreg name(Vreg a, Vreg b, int64_t i) {                                              \
    return push({.code = Opcode::name, .d = new_vreg(), .a = a, .b = b, .imm = i}).d; \
  }
#define BUILD_V_VM(name)                                                                            \
  void name##_to(Vreg d, Vreg a, Mem m) { push({.code = Opcode::name, .d = d, .a = a, .mem = m}); } \
  Vreg name(Vreg a, Mem m) { return push({.code = Opcode::name, .d = new_vreg(), .a = a, .mem = m}).d; }
#define BUILD_V_VMI(name)                                                               \
  Vreg name(Vreg a, Mem m, int64_t i) {                                                 \
    return push({.code = Opcode::name, .d = new_vreg(), .a = a, .mem = m, .imm = i}).d; \
  }
#define BUILD_V_VVM(name) \
  Vreg name(Vreg a, Vreg b, Mem m) { return push({.code = Opcode::name, .d = new_vreg(), .a = a, .b = b, .mem = m}).d; }
#define BUILD_V_VVVM(name)                                                  \
  void name##_to(Vreg d, Vreg a, Vreg b, Vreg c, Mem m) {                   \
    push({.code = Opcode::name, .d = d, .a = a, .b = b, .c = c, .mem = m}); \
  }
#define BUILD_MV(name) \
  void name(Mem m, Vreg a) { push({.code = Opcode::name, .a = a, .mem = m}); }
#define BUILD_MVI(name) \
  void name(Mem m, Vreg a, int64_t i) { push({.code = Opcode::name, .a = a, .mem = m, .imm = i}); }
#define BUILD_P_I(name) \
  Preg name(int64_t i) { return push({.code = Opcode::name, .pd = new_preg(), .imm = i}).pd; }
#define BUILD_P_M(name) \
  Preg name(Mem m) { return push({.code = Opcode::name, .pd = new_preg(), .mem = m}).pd; }
#define BUILD_P_PI(name)                                                                                 \
  void name##_to(Preg d, Preg p, int64_t i) { push({.code = Opcode::name, .pd = d, .p = p, .imm = i}); } \
  Preg name(Preg p, int64_t i) { return push({.code = Opcode::name, .pd = new_preg(), .p = p, .imm = i}).pd; }
#define BUILD_P_PP(name)                                                                            \
  void name##_to(Preg d, Preg p, Preg q) { push({.code = Opcode::name, .pd = d, .p = p, .q = q}); } \
  Preg name(Preg p, Preg q) { return push({.code = Opcode::name, .pd = new_preg(), .p = p, .q = q}).pd; }
#define BUILD_M(name) \
  void name(Mem m) { push({.code = Opcode::name, .mem = m}); }
#define BUILD_P(name) \
  void name(Preg p) { push({.code = Opcode::name, .p = p}); }
#define VECTOR_OP(name, form, needs, meaning) BUILD_##form(name)
#define SCALAR_OP(name, form, meaning) BUILD_##form(name)
#define LOOP_OP(name, form, meaning) BUILD_##form(name)
#include "codegen/program/ops.def"
#undef VECTOR_OP
#undef SCALAR_OP
#undef LOOP_OP
#undef BUILD_V_
#undef BUILD_V_M
#undef BUILD_V_V
#undef BUILD_V_VI
#undef BUILD_V_VV
#undef BUILD_V_VVV
#undef BUILD_V_VVI
#undef BUILD_V_VM
#undef BUILD_V_VMI
#undef BUILD_V_VVM
#undef BUILD_V_VVVM
#undef BUILD_MV
#undef BUILD_MVI
#undef BUILD_P_I
#undef BUILD_P_M
#undef BUILD_P_PI
#undef BUILD_P_PP
#undef BUILD_M
#undef BUILD_P

  // A fresh copy of a pointer, to advance in a loop.
  Preg copy(Preg p) { return add_imm(p, 0); }
  void advance(Preg p, int64_t bytes) { add_imm_to(p, p, bytes); }

  // Emits `body` inside a loop that runs `count` times; the caller's register is left alone.
  template <typename Body>
  void repeat(Preg count, Body&& body) {
    const Preg counter = copy(count);
    loop_begin(counter);
    body();
    loop_end(counter);
  }

  // Emits `body(most)` as often as a count has so many, then `body(1)` for what is left. `most` is a power of two. The
  // count is read by `count()` anew for each: holding it would take a register.
  template <typename Count, typename Body>
  void repeat_by(int most, Count&& count, Body&& body) {
    if (most == 1) return repeat(count(), [&] { body(1); });
    repeat(shr_imm(count(), std::countr_zero(static_cast<unsigned>(most))), [&] { body(most); });
    repeat(and_imm(count(), most - 1), [&] { body(1); });
  }

  // Adds a constant; equal short ones with equal alignment are kept once, under the first name.
  ConstantId constant(std::string name, int alignment, std::vector<uint8_t> bytes);

  // A constant of one lane in every lane of a new register.
  Vreg broadcast_value(std::string name, uint32_t value);

  const Target& target() const { return program_.target; }

  // Says what the next operation starts.
  void note(std::string text) { program_.notes[static_cast<int>(program_.ops.size())] = std::move(text); }

  // Verifies and hands out the program.
  Program finish();

 private:
  Vreg new_vreg() { return Vreg{program_.n_vregs++}; }
  Preg new_preg() { return Preg{program_.n_pregs++}; }
  const Op& push(Op op) {
    program_.ops.push_back(op);
    return program_.ops.back();
  }

  Program program_;
  std::map<std::pair<int, std::vector<uint8_t>>, ConstantId> known_constants_;
};

// x86 displacements have 32 bits.
inline int32_t checked_displacement(int64_t disp) {
  ensure(disp == static_cast<int32_t>(disp), "a displacement does not fit 32 bits");
  return static_cast<int32_t>(disp);
}

// [base + disp]
inline Mem at(Preg base, int64_t disp = 0) { return {.base = base, .disp = checked_displacement(disp)}; }
// [base + index + disp]
inline Mem at(Preg base, Preg index, int64_t disp) {
  return {.base = base, .index = index, .disp = checked_displacement(disp)};
}
// [constant + disp]
inline Mem at(ConstantId constant, int64_t disp = 0) {
  return {.constant = constant, .disp = checked_displacement(disp)};
}
// So many bytes behind m.
inline Mem behind(Mem m, int64_t bytes) {
  m.disp = checked_displacement(m.disp + bytes);
  return m;
}

}  // namespace mithral::codegen
