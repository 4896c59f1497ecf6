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

#include "jit/emitted_code.h"

namespace mithral::jit {

inline constexpr size_t kUnwindAlignment = 8;

// `section_offset` is where the section will be, counted like the routines' offsets. Ends with a terminator.
std::vector<uint8_t> eh_frame(std::span<const EmittedRoutine> routines, size_t section_offset);

// The sorted index (.eh_frame_hdr) of an eh_frame() of one routine, to be put right behind it.
std::vector<uint8_t> eh_frame_header(const EmittedRoutine& routine, size_t section_offset, size_t section_bytes);

// Tells the system's unwinder about the code's eh_frame(), for as long as this lives.
class RegisteredFrames {
 public:
  explicit RegisteredFrames(const EmittedCode& code);
  ~RegisteredFrames();
  RegisteredFrames(const RegisteredFrames&) = delete;
  RegisteredFrames& operator=(const RegisteredFrames&) = delete;

 private:
  const uint8_t* eh_frame_;
};

}  // namespace mithral::jit
