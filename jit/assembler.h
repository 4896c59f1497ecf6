// A thin layer over Xbyak's code generator: memory operands of programs, labels for constants, and a trace of what is
// emitted.
#pragma once

#include <xbyak/xbyak.h>

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "codegen/program/program.h"
#include "jit/assign_registers.h"
#include "jit/emitted_code.h"

// Emits one instruction and, when a trace is kept, writes it down: MITHRAL_INS(assembler, vpaddd, d, a, b).
#define MITHRAL_INS(assembler, mnemonic, ...) \
  (assembler).ins(#mnemonic,                  \
                  [&](const auto&... operand) { (assembler).code().mnemonic(operand...); } __VA_OPT__(, ) __VA_ARGS__)

namespace mithral::jit {

// A memory operand with the text that describes it.
struct MemoryOperand {
  Xbyak::Address address;
  std::string text;

  // Only the lanes that the mask names are touched.
  MemoryOperand operator|(const Xbyak::Opmask& mask) const {
    return {address | mask, text.empty() ? text : text + "{" + mask.toString() + "}"};
  }
};

// One emitted instruction.
struct TraceLine {
  size_t offset;     // of its first byte
  int op;            // index of the operation it came from; -1: prologue or epilogue
  std::string text;  // "vpaddd ymm0, ymm1, ymm2"
};
using Trace = std::vector<TraceLine>;

class Assembler {
 public:
  // Emits into a buffer of its own that is never executed. `trace` may be null: then no text is made.
  Assembler(const codegen::Program& program, const RegisterAssignment& registers, Trace* trace);

  Xbyak::Zmm zmm(codegen::Vreg v) const { return Xbyak::Zmm(registers_.vectors[static_cast<int>(v)]); }
  Xbyak::Ymm ymm(codegen::Vreg v) const { return Xbyak::Ymm(registers_.vectors[static_cast<int>(v)]); }
  Xbyak::Xmm xmm(codegen::Vreg v) const { return Xbyak::Xmm(registers_.vectors[static_cast<int>(v)]); }
  Xbyak::Reg64 gpr(codegen::Preg p) const { return machine_pointer(registers_.pointers[static_cast<int>(p)]); }
  MemoryOperand memory(const codegen::Mem& mem, int64_t extra_disp = 0);
  MemoryOperand byte_memory(const codegen::Mem& mem);  // for instructions whose registers do not tell the size
  MemoryOperand argument(int64_t index);

  // The operation that the next instructions belong to.
  void begin_op(int index) { op_ = index; }

  Xbyak::CodeGenerator& code() { return *code_; }

  template <typename Emit, typename... Operands>
  void ins(const char* mnemonic, Emit emit, const Operands&... operands) {
    if (trace_) write_down(mnemonic, {&operands...});
    emit(machine(operands)...);
  }

  // Saves and restores what the System V calling convention asks for.
  void prologue();
  void epilogue();

  // Loops by index of their loop_begin operation.
  void loop_begin(int loop, codegen::Preg counter);
  void loop_end(int loop, codegen::Preg counter);

  // Pads, appends the constants, resolves labels. Returns the bytes, the size of the code in front of the constants,
  // and how the stack pointer moves.
  struct Result {
    std::vector<uint8_t> bytes;
    size_t code_bytes;
    std::vector<FrameChange> frame;
  };
  Result finish();

 private:
  struct Loop {
    Xbyak::Label begin, end;
  };
  struct LoopLabel {
    const Xbyak::Label* label;
    std::string text;
  };

  MemoryOperand memory(const Xbyak::AddressFrame& frame, const codegen::Mem& mem, int64_t extra_disp);
  static Xbyak::Reg64 machine_pointer(int number);
  std::string describe(const codegen::Mem& mem, int64_t disp) const;
  std::string describe(const std::string& base, std::optional<int> number, int64_t disp) const;
  // For the trace: what is compiled for each instruction is this list, and not the text that is made of it.
  class AnyOperand {
   public:
    AnyOperand(const Xbyak::Reg* r) : operand_(r) {}
    AnyOperand(const MemoryOperand* m) : operand_(m) {}
    AnyOperand(const LoopLabel* label) : operand_(label) {}
    template <std::integral T>
    AnyOperand(const T* immediate) : operand_(static_cast<int64_t>(*immediate)) {}
    std::string text() const;

   private:
    std::variant<const Xbyak::Reg*, const MemoryOperand*, const LoopLabel*, int64_t> operand_;
  };
  void write_down(const char* mnemonic, std::initializer_list<AnyOperand> operands);

  static const Xbyak::Address& machine(const MemoryOperand& m) { return m.address; }
  static const Xbyak::Label& machine(const LoopLabel& label) { return *label.label; }
  template <typename T>
  static const T& machine(const T& operand) {
    return operand;
  }

  const codegen::Program& program_;
  const RegisterAssignment& registers_;
  Trace* trace_;
  int op_ = -1;
  size_t capacity_;
  std::unique_ptr<uint8_t[]> buffer_;
  uint8_t* start_;  // of the code in it
  std::unique_ptr<Xbyak::CodeGenerator> code_;
  std::vector<Xbyak::Label> constant_labels_;
  std::vector<Xbyak::RegExp> addresses_;  // [pointer register]: made once, as making them is most of making an operand
  std::map<int, Loop> loops_;             // by index of the loop_begin
  std::vector<FrameChange> frame_;
};

}  // namespace mithral::jit
