// Emitted code as unwinders, debuggers and profilers need to know it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mithral::jit {

inline constexpr uint8_t kInt3 = 0xcc;  // fills gaps in code: nothing may run into them

// One push or pop of a callee-saved register: the only ways in which a routine moves its stack pointer.
struct FrameChange {
  size_t offset;         // from the routine's start to the end of the instruction
  int machine_register;  // its number in x86 encodings
  bool is_push;
};

struct EmittedRoutine {
  std::string name;
  size_t offset;      // from the start of the memory
  size_t code_bytes;  // without constants
  std::vector<FrameChange> frame;
};

// All routines of a kernel where they are executed.
struct EmittedCode {
  std::span<const uint8_t> memory;       // code, constants, then the unwind information
  std::vector<EmittedRoutine> routines;  // by rising offset
  size_t unwind_offset;                  // of the unwind information (unwind_info.h)

  std::span<const uint8_t> code(const EmittedRoutine& routine) const {
    return memory.subspan(routine.offset, routine.code_bytes);
  }
};

inline uint64_t address_of(const uint8_t* code) { return reinterpret_cast<uintptr_t>(code); }

}  // namespace mithral::jit
