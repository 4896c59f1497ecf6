// A program: one routine as a flat list of vector operations over virtual registers.
//
// The memory model is a machine's: pointers are 64-bit numbers, memory operands are base + index + displacement, and
// nothing is checked when it runs; callers vouch for the arguments (runtime/execute.h). Virtual registers are mutable,
// because accumulators live across loop iterations; a register must be written before it is read in list order, so
// whatever a loop carries is initialised before the loop. Loops nest, count down a pointer register, and run zero times
// when it is zero.
//
// The program is all that the interpreter and the emitters see: neither the model nor the schedule reaches them. Every
// constant (thresholds, tables, scales) is a byte string in the program's pool, which emitted code keeps next to
// itself.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "codegen/program/target.h"

namespace mithral::codegen {

enum class Vreg : int32_t {};        // a virtual vector register
enum class Preg : int32_t {};        // a virtual pointer register
enum class ConstantId : int32_t {};  // an entry of Program::constants

inline constexpr Vreg kNoVreg{-1};
inline constexpr Preg kNoPreg{-1};
inline constexpr ConstantId kNoConstant{-1};

inline constexpr int kSegmentBytes = 16;  // of a segment of a vector (ops.def)

enum class Opcode : uint8_t {
#define VECTOR_OP(name, form, needs, meaning) name,
#define SCALAR_OP(name, form, meaning) name,
#define LOOP_OP(name, form, meaning) name,
#include "codegen/program/ops.def"
#undef VECTOR_OP
#undef SCALAR_OP
#undef LOOP_OP
};

// The operand pattern of an operation: see the head of ops.def.
enum class Form : uint8_t {
  V_,
  V_M,
  V_V,
  V_VI,
  V_VV,
  V_VVV,
  V_VVI,
  V_VM,
  V_VMI,
  V_VVM,
  V_VVVM,
  MV,
  MVI,
  P_I,
  P_M,
  P_PI,
  P_PP,
  M,
  P
};

// base + index + disp, or constant + disp. Absent parts are kNoPreg / kNoConstant.
struct Mem {
  Preg base = kNoPreg;
  Preg index = kNoPreg;
  ConstantId constant = kNoConstant;
  int32_t disp = 0;
};

struct Op {
  Opcode code{};
  Vreg d = kNoVreg, a = kNoVreg, b = kNoVreg, c = kNoVreg;  // vector result and sources
  Preg pd = kNoPreg, p = kNoPreg, q = kNoPreg;              // pointer result and sources
  Mem mem{};
  int64_t imm = 0;
};

struct OpInfo {
  const char* name;
  Form form;
  Feature needs;
};
const OpInfo& info(Opcode code);

// The registers that an operation writes and reads. A loop's counter is read at both ends and written at the second.
struct DefUse {
  Vreg vector_def = kNoVreg;
  Preg pointer_def = kNoPreg;
  Vreg vector_uses[3] = {kNoVreg, kNoVreg, kNoVreg};
  Preg pointer_uses[4] = {kNoPreg, kNoPreg, kNoPreg, kNoPreg};
};
// Unused operands hold kNoVreg / kNoPreg, so only the counter of a loop needs a case of its own.
inline DefUse def_use(const Op& op) {
  return {.vector_def = op.d,
          .pointer_def = op.code == Opcode::loop_end ? op.p : op.pd,
          .vector_uses = {op.a, op.b, op.c},
          .pointer_uses = {op.p, op.q, op.mem.base, op.mem.index}};
}

bool has_memory(Form form);
bool has_immediate(Form form);

struct Constant {
  std::string name;
  int alignment = 1;
  std::vector<uint8_t> bytes;
};

struct Program {
  std::string name;
  Target target;
  std::vector<std::string> args;  // names of the 64-bit arguments, in order
  std::vector<Op> ops;
  std::vector<Constant> constants;
  std::map<int, std::string> notes;  // op index -> what starts here, for printed programs and listings
  int n_vregs = 0;
  int n_pregs = 0;
};

// Index of the loop_end that closes the loop_begin at `begin`, for every loop_begin, and the reverse; -1 elsewhere.
// Throws InternalError when loops do not nest.
std::vector<int> matching_loops(const Program& program);

// Throws InternalError unless: every register is written before it is read, loops nest and leave their counters alone,
// memory operands are complete and constants in bounds, immediates in range, and the target has what operations need.
void verify(const Program& program);

// The program as text, one operation a line.
std::string print(const Program& program);
std::string print(const Program& program, const Op& op);

}  // namespace mithral::codegen
