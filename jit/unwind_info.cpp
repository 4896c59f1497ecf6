#include "jit/unwind_info.h"

#include "codegen/model/error.h"

namespace mithral::jit {
namespace {

// DWARF's numbers.
constexpr uint8_t kAdvance = 0x40, kOffset = 0x80, kRestore = 0xc0;  // with an operand in the low 6 bits
constexpr uint8_t kAdvance4 = 0x04, kDefineCfa = 0x0c, kDefineCfaOffset = 0x0e;
constexpr uint8_t kUnsigned4 = 0x03, kTableRelativeSigned4 = 0x3b;  // encodings of addresses, as AddressForm
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

void put_advance(ByteWriter& out, size_t bytes) {
  if (bytes < kAdvance) {
    out.put(static_cast<uint8_t>(kAdvance | bytes));
  } else {
    out.put(kAdvance4);
    out.put(static_cast<uint32_t>(bytes));
  }
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

}  // namespace

void put_cie(ByteWriter& out, AddressForm form, size_t bytes) {
  const size_t start = out.size();
  out.put(uint32_t{0});  // length
  out.put(uint32_t{0});  // marks a CIE
  out.put(uint8_t{1});   // version
  out.put_text("zR");    // each FDE has augmentation data; the CIE's is the encoding of addresses
  out.put(uint8_t{1});   // unit of code offsets
  out.put(kMinusSlot);   // unit of stack offsets
  out.put(kReturnAddress);
  out.put(uint8_t{1});  // bytes of augmentation data
  out.put(form);
  for (const uint8_t byte : {kDefineCfa, kStackPointer, kSlot}) out.put(byte);
  for (const uint8_t byte : {static_cast<uint8_t>(kOffset | kReturnAddress), uint8_t{1}}) out.put(byte);
  while (out.size() < start + bytes) out.put(kNop);
  end_record(out, start);
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

std::vector<uint8_t> eh_frame(std::span<const EmittedRoutine> routines, size_t section_offset) {
  ByteWriter out;
  put_cie(out, AddressForm::kRelative);
  for (const EmittedRoutine& routine : routines) put_fde(out, routine, section_offset);
  out.put(uint32_t{0});
  out.pad_to_multiple(kUnwindAlignment);
  return out.take();
}

std::vector<uint8_t> eh_frame_header(const EmittedRoutine& routine, size_t section_offset, size_t section_bytes) {
  ByteWriter cie;
  put_cie(cie, AddressForm::kRelative);
  const size_t header = section_offset + section_bytes;
  ByteWriter out;
  out.put(uint8_t{1});              // version
  out.put(AddressForm::kRelative);  // of the section
  for (const uint8_t encoding : {kUnsigned4, kTableRelativeSigned4}) out.put(encoding);
  out.put(distance(header + out.size(), section_offset));
  out.put(uint32_t{1});  // FDEs
  out.put(distance(header, routine.offset));
  out.put(distance(header, section_offset + cie.size()));
  return out.take();
}

}  // namespace mithral::jit
