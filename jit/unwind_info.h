// Unwind information: how exceptions, backtrace(), crash handlers, debuggers and profilers get from a routine to its
// caller, from every one of its instructions. Emitted code keeps no frame pointer, so nothing else tells them.
//
// It is an .eh_frame section (DWARF call frame information: Linux Standard Base, "Exception Frames"): one CIE, and one
// FDE a routine with a line for every push and pop. Addresses are relative to the section, so its bytes are
// deterministic like those of the code, behind which it lies.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "jit/byte_writer.h"
#include "jit/emitted_code.h"

namespace mithral::jit {

inline constexpr size_t kUnwindAlignment = 8;
inline constexpr uint8_t kNop = 0x00;  // DWARF's: fills records

// `section_offset` is where the section will be, counted like the routines' offsets. Ends with a terminator.
std::vector<uint8_t> eh_frame(std::span<const EmittedRoutine> routines, size_t section_offset);

// The sorted index (.eh_frame_hdr) of an eh_frame() of one routine, to be put right behind it.
std::vector<uint8_t> eh_frame_header(const EmittedRoutine& routine, size_t section_offset, size_t section_bytes);

// Their parts, for who puts records together in another way (frame_table.h). A CIE says what holds at the first
// instruction of every routine, that the return address is on top of the stack, and how its FDEs tell addresses; it is
// at least as long as asked for. The changes are an FDE's lines.
enum class AddressForm : uint8_t {
  kAbsolute = 0x00,  // 8 bytes
  kRelative = 0x1b,  // to the place of the address: 4 bytes
};
void put_cie(ByteWriter& out, AddressForm form, size_t bytes = 0);
void put_frame_changes(ByteWriter& out, const EmittedRoutine& routine);

}  // namespace mithral::jit
