#include "jit/unwind_info.h"

#include <dlfcn.h>

#include "codegen/model/error.h"
#include "jit/byte_writer.h"
#include "jit/process_lock.h"

namespace mithral::jit {
namespace {

// DWARF's numbers.
constexpr uint8_t kAdvance = 0x40, kOffset = 0x80, kRestore = 0xc0;  // with an operand in the low 6 bits
constexpr uint8_t kNop = 0x00, kAdvance4 = 0x04, kDefineCfa = 0x0c, kDefineCfaOffset = 0x0e;
constexpr uint8_t kUnsigned4 = 0x03, kRelativeSigned4 = 0x1b, kTableRelativeSigned4 = 0x3b;  // encodings of addresses
constexpr uint8_t kStackPointer = 7, kReturnAddress = 16;

constexpr uint8_t kSlot = 8;              // bytes that a push, or a call, takes
constexpr uint8_t kMinusSlot = 0x78;      // -8 as a SLEB128
constexpr uint32_t kLengthBytes = 4;      // the length field in front of a record, which does not count itself
constexpr uint8_t kMaxSmallNumber = 127;  // the largest that is one byte as ULEB128

// rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi as DWARF numbers them; r8 to r15 agree.
constexpr uint8_t kDwarfRegister[] = {0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};

int32_t distance(size_t from, size_t to) {
  const int64_t bytes = static_cast<int64_t>(to) - static_cast<int64_t>(from);
  ensure(bytes == static_cast<int32_t>(bytes), "a kernel is too large for its unwind information");
  return static_cast<int32_t>(bytes);
}

void end_record(ByteWriter& out, size_t start) {
  out.pad_to_multiple(kUnwindAlignment, kNop);
  out.patch(start, static_cast<uint32_t>(out.size() - start - kLengthBytes));
}

// What holds at the first instruction of every routine: the return address is on top of the stack.
void put_cie(ByteWriter& out) {
  const size_t start = out.size();
  out.put(uint32_t{0});  // length
  out.put(uint32_t{0});  // marks a CIE
  out.put(uint8_t{1});   // version
  out.put_text("zR");    // each FDE has augmentation data; the CIE's is the encoding of addresses
  out.put(uint8_t{1});   // unit of code offsets
  out.put(kMinusSlot);   // unit of stack offsets
  out.put(kReturnAddress);
  out.put(uint8_t{1});  // bytes of augmentation data
  out.put(kRelativeSigned4);
  for (const uint8_t byte : {kDefineCfa, kStackPointer, kSlot}) out.put(byte);
  for (const uint8_t byte : {static_cast<uint8_t>(kOffset | kReturnAddress), uint8_t{1}}) out.put(byte);
  end_record(out, start);
}

void put_advance(ByteWriter& out, size_t bytes) {
  if (bytes < kAdvance) {
    out.put(static_cast<uint8_t>(kAdvance | bytes));
  } else {
    out.put(kAdvance4);
    out.put(static_cast<uint32_t>(bytes));
  }
}

void put_frame_changes(ByteWriter& out, const EmittedRoutine& routine) {
  size_t at = 0;
  uint8_t slots = 1;  // the return address
  for (const FrameChange& change : routine.frame) {
    put_advance(out, change.offset - at);
    at = change.offset;
    slots = static_cast<uint8_t>(change.is_push ? slots + 1 : slots - 1);
    ensure(slots * kSlot <= kMaxSmallNumber, "a frame is too large for its unwind information");
    out.put(kDefineCfaOffset);
    out.put(static_cast<uint8_t>(slots * kSlot));
    const uint8_t saved = kDwarfRegister[change.machine_register];
    out.put(static_cast<uint8_t>((change.is_push ? kOffset : kRestore) | saved));
    if (change.is_push) out.put(slots);
  }
  ensure(slots == 1, "a routine does not restore what it saves");
}

void put_fde(ByteWriter& out, const EmittedRoutine& routine, size_t section_offset) {
  const size_t start = out.size();
  out.put(uint32_t{0});                        // length
  out.put(static_cast<uint32_t>(out.size()));  // back to the CIE, which is at the section's start
  out.put(distance(section_offset + out.size(), routine.offset));
  out.put(static_cast<uint32_t>(routine.code_bytes));
  out.put(uint8_t{0});  // bytes of augmentation data
  put_frame_changes(out, routine);
  end_record(out, start);
}

// The unwinder of glibc's backtrace(), of thread cancellation, and of everything that links it dynamically. Looked up,
// because a library that links its own unwinder statically, as the Python package does, would register with that one.
struct Unwinder {
  void (*add)(const void* eh_frame) = nullptr;
  void (*remove)(const void* eh_frame) = nullptr;
  void* (*find_function)(void* code) = nullptr;

  bool is_complete() const { return add != nullptr && remove != nullptr && find_function != nullptr; }
};

// The caller has the process lock: a fork in the middle of this would leave it unfinished in the child for ever.
const Unwinder& unwinder() {
  static const Unwinder found = [] {
    Unwinder result;  // stays empty in a program without it, where nothing would ask
    if (void* library = dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_LOCAL)) {
      result.add = reinterpret_cast<decltype(result.add)>(dlsym(library, "__register_frame"));
      result.remove = reinterpret_cast<decltype(result.remove)>(dlsym(library, "__deregister_frame"));
      result.find_function =
          reinterpret_cast<decltype(result.find_function)>(dlsym(library, "_Unwind_FindEnclosingFunction"));
    }
    return result;
  }();
  return found;
}

}  // namespace

std::vector<uint8_t> eh_frame(std::span<const EmittedRoutine> routines, size_t section_offset) {
  ByteWriter out;
  put_cie(out);
  for (const EmittedRoutine& routine : routines) put_fde(out, routine, section_offset);
  out.put(uint32_t{0});
  out.pad_to_multiple(kUnwindAlignment);
  return out.take();
}

std::vector<uint8_t> eh_frame_header(const EmittedRoutine& routine, size_t section_offset, size_t section_bytes) {
  ByteWriter cie;
  put_cie(cie);
  const size_t header = section_offset + section_bytes;
  ByteWriter out;
  out.put(uint8_t{1});  // version
  for (const uint8_t encoding : {kRelativeSigned4, kUnsigned4, kTableRelativeSigned4}) out.put(encoding);
  out.put(distance(header + out.size(), section_offset));
  out.put(uint32_t{1});  // FDEs
  out.put(distance(header, routine.offset));
  out.put(distance(header, section_offset + cie.size()));
  return out.take();
}

RegisteredFrames::RegisteredFrames(const EmittedCode& code) : eh_frame_(code.memory.data() + code.unwind_offset) {
  const std::lock_guard guard(process_lock());  // a fork would leave the unwinder's own lock taken in the child
  if (!unwinder().is_complete()) return;
  unwinder().add(eh_frame_);
  // The first look into a section makes the unwinder allocate an index of it. Now, not in a handler of a crash.
  unwinder().find_function(const_cast<uint8_t*>(code.memory.data() + 1));
}

RegisteredFrames::~RegisteredFrames() {
  const std::lock_guard guard(process_lock());
  if (!unwinder().is_complete()) return;
  unwinder().remove(eh_frame_);
}

}  // namespace mithral::jit
