#include "jit/assembler.h"

#include <algorithm>
#include <cstring>

#include "codegen/model/error.h"
#include "codegen/model/multiples.h"

namespace mithral::jit {
namespace {

using codegen::kNoConstant;
using codegen::kNoPreg;
using codegen::Mem;
using codegen::Preg;
using codegen::Program;

constexpr size_t kBufferAlignment = 64;
constexpr size_t kMaxBytesPerOp = 48;  // the longest expansion: a loop's test, jump and padding
constexpr size_t kFrameBytes = 256;

size_t capacity_for(const Program& program) {
  size_t bytes = kFrameBytes + program.ops.size() * kMaxBytesPerOp;
  for (const codegen::Constant& constant : program.constants) {
    bytes = round_up(bytes, static_cast<size_t>(constant.alignment)) + constant.bytes.size();
  }
  return bytes;
}

// Not by std::aligned_alloc: in glibc before 2.38 the next one does not fit where the last one was.
uint8_t* aligned(uint8_t* buffer) {
  return reinterpret_cast<uint8_t*>(round_up(reinterpret_cast<uintptr_t>(buffer), kBufferAlignment));
}

// Machine registers in the order of assignment: first those that a callee may overwrite, then those it must save. rdi
// holds the arguments throughout; rsp is the stack's.
constexpr int kPointerOrder[] = {Xbyak::Operand::RAX, Xbyak::Operand::RCX, Xbyak::Operand::RDX, Xbyak::Operand::RSI,
                                 Xbyak::Operand::R8,  Xbyak::Operand::R9,  Xbyak::Operand::R10, Xbyak::Operand::R11,
                                 Xbyak::Operand::RBX, Xbyak::Operand::RBP, Xbyak::Operand::R12, Xbyak::Operand::R13,
                                 Xbyak::Operand::R14, Xbyak::Operand::R15};
constexpr int kFirstSaved = 8;

}  // namespace

Assembler::Assembler(const Program& program, const RegisterAssignment& registers, Trace* trace)
    : program_(program),
      registers_(registers),
      trace_(trace),
      capacity_(capacity_for(program)),
      buffer_(std::make_unique_for_overwrite<uint8_t[]>(capacity_ + kBufferAlignment)),
      start_(aligned(buffer_.get())),
      constant_labels_(program.constants.size()) {
  code_ = std::make_unique<Xbyak::CodeGenerator>(capacity_, start_);
  code_->setDefaultJmpNEAR(true);
  for (int number = 0; number < registers.n_pointers; ++number) addresses_.emplace_back(machine_pointer(number));
}

Xbyak::Reg64 Assembler::machine_pointer(int number) {
  ensure(number >= 0 && number < static_cast<int>(std::size(kPointerOrder)), "a pointer register is out of range");
  return Xbyak::Reg64(kPointerOrder[number]);
}

MemoryOperand Assembler::memory(const Mem& mem, int64_t extra_disp) { return memory(code_->ptr, mem, extra_disp); }
MemoryOperand Assembler::byte_memory(const Mem& mem) { return memory(code_->byte, mem, 0); }

MemoryOperand Assembler::memory(const Xbyak::AddressFrame& frame, const Mem& mem, int64_t extra_disp) {
  const int64_t disp = mem.disp + extra_disp;
  if (mem.constant != kNoConstant) {
    const Xbyak::Label& label = constant_labels_[static_cast<int>(mem.constant)];
    return {frame[Xbyak::util::rip + label + disp], describe("rip+const_", static_cast<int>(mem.constant), disp)};
  }
  const Xbyak::RegExp& base = addresses_[registers_.pointers[static_cast<int>(mem.base)]];
  const Xbyak::RegExp address =
      mem.index == kNoPreg ? base : base + addresses_[registers_.pointers[static_cast<int>(mem.index)]];
  return {frame[address - static_cast<size_t>(-disp)], describe(mem, disp)};  // subtracting is Xbyak's quicker way
}

MemoryOperand Assembler::argument(int64_t index) {
  return {code_->ptr[code_->rdi + static_cast<size_t>(8 * index)], describe("rdi", {}, 8 * index)};
}

// The text of an operand; none is made while nothing is traced.
std::string Assembler::describe(const Mem& mem, int64_t disp) const {
  if (!trace_) return {};
  const std::string index = mem.index == kNoPreg ? "" : std::string("+") + gpr(mem.index).toString();
  return describe(gpr(mem.base).toString() + index, {}, disp);
}
std::string Assembler::describe(const std::string& base, std::optional<int> number, int64_t disp) const {
  if (!trace_) return {};
  std::string text = base + (number ? std::to_string(*number) : "");
  if (disp != 0) text += (disp > 0 ? "+" : "") + std::to_string(disp);
  return "[" + text + "]";
}

std::string Assembler::AnyOperand::text() const {
  struct Text {
    std::string operator()(const Xbyak::Reg* r) const {
      const int mask = r->getOpmaskIdx();
      return r->toString() + (mask == 0 ? std::string() : "{k" + std::to_string(mask) + "}");
    }
    std::string operator()(const MemoryOperand* m) const { return m->text; }
    std::string operator()(const LoopLabel* label) const { return label->text; }
    std::string operator()(int64_t immediate) const { return std::to_string(immediate); }
  };
  return std::visit(Text(), operand_);
}

void Assembler::write_down(const char* mnemonic, std::initializer_list<AnyOperand> operands) {
  std::string text = mnemonic;
  if (text.back() == '_') text.pop_back();  // Xbyak's names for C++ keywords: and_, or_
  const char* separator = " ";
  for (const AnyOperand& operand : operands) {
    text += separator + operand.text();
    separator = ", ";
  }
  trace_->push_back({code_->getSize(), op_, text});
}

void Assembler::prologue() {
  for (int number = kFirstSaved; number < registers_.n_pointers; ++number) {
    const Xbyak::Reg64 saved = machine_pointer(number);
    MITHRAL_INS(*this, push, saved);
    frame_.push_back({code_->getSize(), saved.getIdx(), true});
  }
}

void Assembler::epilogue() {
  for (int number = registers_.n_pointers - 1; number >= kFirstSaved; --number) {
    const Xbyak::Reg64 saved = machine_pointer(number);
    MITHRAL_INS(*this, pop, saved);
    frame_.push_back({code_->getSize(), saved.getIdx(), false});
  }
  MITHRAL_INS(*this, ret);
}

void Assembler::loop_begin(int loop, Preg counter) {
  Loop& labels = loops_[loop];
  MITHRAL_INS(*this, test, gpr(counter), gpr(counter));
  MITHRAL_INS(*this, jz, LoopLabel{&labels.end, "end_" + std::to_string(loop)});
  const size_t unaligned = code_->getSize();
  code_->align(16);
  if (trace_ && code_->getSize() != unaligned) trace_->push_back({unaligned, op_, "(padding)"});
  code_->L(labels.begin);
}

void Assembler::loop_end(int loop, Preg counter) {
  Loop& labels = loops_.at(loop);
  MITHRAL_INS(*this, dec, gpr(counter));
  MITHRAL_INS(*this, jnz, LoopLabel{&labels.begin, "loop_" + std::to_string(loop)});
  code_->L(labels.end);
}

Assembler::Result Assembler::finish() {
  const size_t code_bytes = code_->getSize();
  size_t end = code_bytes;
  ensure(code_bytes <= kFrameBytes + program_.ops.size() * kMaxBytesPerOp,
         "an operation is longer than the buffer allows for");
  for (size_t i = 0; i < program_.constants.size(); ++i) {
    const codegen::Constant& constant = program_.constants[i];
    const size_t start = round_up(end, static_cast<size_t>(constant.alignment));
    std::memset(start_ + end, kInt3, start - end);
    std::copy(constant.bytes.begin(), constant.bytes.end(), start_ + start);
    code_->setSize(start);
    code_->L(constant_labels_[i]);
    end = start + constant.bytes.size();
  }
  code_->setSize(end);
  ensure(!code_->hasUndefinedLabel(), "a label was used but never placed");
  return {std::vector<uint8_t>(start_, start_ + end), code_bytes, std::move(frame_)};
}

}  // namespace mithral::jit
