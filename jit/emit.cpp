#include "jit/emit.h"

#include <cstdio>
#include <sstream>

#include "codegen/model/error.h"
#include "jit/assembler.h"
#include "jit/assign_registers.h"
#include "jit/avx2_backend.h"
#include "jit/avx512_vbmi_backend.h"
#include "jit/sse41_backend.h"

namespace mithral::jit {
namespace {

using codegen::Op;
using codegen::Opcode;
using codegen::Program;

// Walks the list once: pointers and loops are the same on every x86, vector operations go to the backend.
template <typename Backend>
class Emitter {
 public:
  explicit Emitter(Assembler& assembler) : as_(assembler), backend_(assembler) {}

  void run(const Program& program) {
    check(program);
    const std::vector<int> loops = codegen::matching_loops(program);
    as_.prologue();
    for (int i = 0; i < static_cast<int>(program.ops.size()); ++i) {
      as_.begin_op(i);
      emit(program.ops[i], i, loops[i]);
    }
    as_.begin_op(-1);
    backend_.leave();
    as_.epilogue();
  }

 private:
  // A program that verify() accepts has only what its target has; that may be more than this backend encodes.
  static void check(const Program& program) {
    const Target& target = program.target;
    const char* beyond = target.vector_bytes != Backend::kVectorBytes    ? "vectors of another length"
                         : target.n_vector_regs > Backend::kProgramRegs  ? "registers that the backend keeps"
                         : !Backend::kFeatures.contains(target.features) ? "features that the backend lacks"
                                                                         : nullptr;
    if (beyond != nullptr) {
      throw InternalError(
          message("program ", program.name, " for ", isa_name(target.isa), ": its target has ", beyond));
    }
  }

  void emit(const Op& op, int index, int matching_loop) {
    switch (op.code) {
      case Opcode::loop_begin: return as_.loop_begin(index, op.p);
      case Opcode::loop_end:
        return as_.loop_end(matching_loop, op.p);
// clang-format off
#define VECTOR_OP(name, form, needs, meaning)                                                 \
      case Opcode::name:                                                                           \
        if constexpr (Backend::kFeatures.has(Feature::needs)) {                                    \
          return backend_.name(op);                                                                \
        } else {                                                                                   \
          throw InternalError("'" #name "' needs what the backend lacks");                         \
        }
#define SCALAR_OP(name, form, meaning) case Opcode::name: return name(op);
#define LOOP_OP(name, form, meaning)
// clang-format on
#include "codegen/program/ops.def"
#undef VECTOR_OP
#undef SCALAR_OP
#undef LOOP_OP
    }
  }

  void arg(const Op& op) { MITHRAL_INS(as_, mov, as_.gpr(op.pd), as_.argument(op.imm)); }
  void set(const Op& op) { MITHRAL_INS(as_, mov, as_.gpr(op.pd), op.imm); }
  void address(const Op& op) { MITHRAL_INS(as_, lea, as_.gpr(op.pd), as_.memory(op.mem)); }
  void load_u8(const Op& op) { MITHRAL_INS(as_, movzx, as_.gpr(op.pd).cvt32(), as_.byte_memory(op.mem)); }
  void load_i64(const Op& op) { MITHRAL_INS(as_, mov, as_.gpr(op.pd), as_.memory(op.mem)); }

  void add(const Op& op) {
    if (op.pd == op.p) {
      MITHRAL_INS(as_, add, as_.gpr(op.pd), as_.gpr(op.q));
    } else {
      MITHRAL_INS(as_, lea, as_.gpr(op.pd), as_.memory({.base = op.p, .index = op.q}));
    }
  }

  void add_imm(const Op& op) {
    const auto imm = static_cast<int32_t>(op.imm);
    if (op.imm == 0) {
      move(op);
    } else {
      MITHRAL_INS(as_, lea, as_.gpr(op.pd), as_.memory({.base = op.p, .disp = imm}));
    }
  }

  void mul_imm(const Op& op) { MITHRAL_INS(as_, imul, as_.gpr(op.pd), as_.gpr(op.p), static_cast<int>(op.imm)); }
  void shr_imm(const Op& op) {
    move(op);
    MITHRAL_INS(as_, shr, as_.gpr(op.pd), static_cast<int>(op.imm));
  }
  void and_imm(const Op& op) {
    move(op);
    MITHRAL_INS(as_, and_, as_.gpr(op.pd), static_cast<uint32_t>(op.imm));
  }
  void prefetch(const Op& op) { MITHRAL_INS(as_, prefetcht0, as_.memory(op.mem)); }

  void move(const Op& op) {
    if (as_.gpr(op.pd).getIdx() != as_.gpr(op.p).getIdx()) MITHRAL_INS(as_, mov, as_.gpr(op.pd), as_.gpr(op.p));
  }

  Assembler& as_;
  Backend backend_;
};

Assembler::Result assemble(const Program& program, Trace* trace) {
  const RegisterAssignment registers = assign_registers(program);
  try {
    Assembler assembler(program, registers, trace);
    switch (program.target.isa) {
      case Isa::kSse41: Emitter<Sse41Backend>(assembler).run(program); break;
      case Isa::kAvx2: Emitter<Avx2Backend>(assembler).run(program); break;
      case Isa::kAvx512: Emitter<Avx512Backend>(assembler).run(program); break;
      case Isa::kAvx512Vbmi: Emitter<Avx512VbmiBackend>(assembler).run(program); break;
    }
    return assembler.finish();
  } catch (const Xbyak::Error& error) {
    throw InternalError(message("emitting ", program.name, ": ", error.what()));
  }
}

std::string hex(const uint8_t* bytes, size_t count) {
  std::string result;
  char digits[3];
  for (size_t i = 0; i < count; ++i) {
    std::snprintf(digits, sizeof digits, "%02x", bytes[i]);
    result += digits;
  }
  return result;
}

}  // namespace

MachineCode emit(const Program& program) {
  Assembler::Result result = assemble(program, nullptr);
  return {std::move(result.bytes), result.code_bytes, std::move(result.frame)};
}

std::string listing(const Program& program) {
  Trace trace;
  const Assembler::Result code = assemble(program, &trace);
  const RegisterAssignment registers = assign_registers(program);

  std::ostringstream out;
  out << "; " << program.name << " for " << isa_name(program.target.isa) << ": " << code.code_bytes
      << " bytes of code, " << code.bytes.size() << " with constants; " << registers.n_vectors << " of "
      << program.target.n_vector_regs << " vector registers\n";
  int op = -1;
  for (size_t i = 0; i < trace.size(); ++i) {
    const TraceLine& line = trace[i];
    if (line.op != op && line.op >= 0) {
      if (const auto note = program.notes.find(line.op); note != program.notes.end())
        out << "; " << note->second << "\n";
      out << "; " << line.op << ": " << codegen::print(program, program.ops[line.op]) << "\n";
    }
    op = line.op;
    const size_t end = i + 1 < trace.size() ? trace[i + 1].offset : code.code_bytes;
    char offset[16];
    std::snprintf(offset, sizeof offset, "%6zx", line.offset);
    out << offset << "  " << hex(code.bytes.data() + line.offset, end - line.offset) << "  " << line.text << "\n";
  }
  return out.str();
}

}  // namespace mithral::jit
