#include <cstdio>
#include <sstream>

#include "codegen/program/program.h"

namespace mithral::codegen {
namespace {

std::string text(Vreg r) { return "v" + std::to_string(static_cast<int>(r)); }
std::string text(Preg r) { return "p" + std::to_string(static_cast<int>(r)); }

std::string text(const Mem& mem) {
  std::string result = "[";
  if (mem.constant != kNoConstant) {
    result += "const " + std::to_string(static_cast<int>(mem.constant));
  } else {
    result += text(mem.base);
    if (mem.index != kNoPreg) result += " + " + text(mem.index);
  }
  if (mem.disp != 0) result += (mem.disp > 0 ? " + " : " - ") + std::to_string(std::abs(int64_t{mem.disp}));
  return result + "]";
}

// The operands that are read, in the order of the form.
std::string sources(const Op& op) {
  const Form form = info(op.code).form;
  std::string result;
  const auto append = [&result](const std::string& operand) { result += (result.empty() ? " " : ", ") + operand; };
  const bool is_store = form == Form::MV || form == Form::MVI;
  if (is_store) append(text(op.mem));
  if (op.a != kNoVreg) append(text(op.a));
  if (op.b != kNoVreg) append(text(op.b));
  if (op.c != kNoVreg) append(text(op.c));
  if (op.p != kNoPreg) append(text(op.p));
  if (op.q != kNoPreg) append(text(op.q));
  if (has_memory(form) && !is_store) append(text(op.mem));
  if (has_immediate(form)) append(std::to_string(op.imm));
  return result;
}

// The first bytes of a constant, as hexadecimal.
std::string preview(const Constant& constant) {
  constexpr size_t kShown = 32;
  std::string result;
  for (size_t i = 0; i < constant.bytes.size() && i < kShown; ++i) {
    char hex[4];
    std::snprintf(hex, sizeof hex, i % 4 == 3 ? "%02x " : "%02x", constant.bytes[i]);
    result += hex;
  }
  return constant.bytes.size() > kShown ? result + "..." : result;
}

}  // namespace

std::string print(const Program& program, const Op& op) {
  std::string result;
  if (op.d != kNoVreg) result = text(op.d) + " = ";
  if (op.pd != kNoPreg) result = text(op.pd) + " = ";
  result += info(op.code).name + sources(op);
  if (op.code == Opcode::arg) result += "  ; " + program.args[op.imm];
  return result;
}

std::string print(const Program& program) {
  std::ostringstream out;
  out << "program " << program.name << " for " << isa_name(program.target.isa) << "(";
  for (size_t i = 0; i < program.args.size(); ++i) out << (i ? ", " : "") << program.args[i];
  out << "): " << program.ops.size() << " operations, " << program.constants.size() << " constants\n";
  for (size_t i = 0; i < program.constants.size(); ++i) {
    const Constant& constant = program.constants[i];
    out << "  const " << i << " = " << constant.name << ", " << constant.bytes.size() << " bytes: " << preview(constant)
        << "\n";
  }
  int depth = 1;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    if (op.code == Opcode::loop_end) --depth;
    const std::string indent(2 * depth, ' ');
    if (const auto note = program.notes.find(static_cast<int>(i)); note != program.notes.end()) {
      out << indent << "; " << note->second << "\n";
    }
    out << indent << print(program, op) << "\n";
    if (op.code == Opcode::loop_begin) ++depth;
  }
  return out.str();
}

}  // namespace mithral::codegen
