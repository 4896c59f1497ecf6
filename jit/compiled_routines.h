// Programs -> callable functions: all routines of a kernel in one piece of code memory, known to unwinders and
// debuggers and, when asked for, to profilers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codegen/program/program.h"
#include "jit/code_memory.h"
#include "jit/emitted_code.h"
#include "jit/gdb_registration.h"

namespace mithral::jit {

using RoutineFunction = void (*)(const int64_t* args);

// What profilers are told, and the words for it.
struct Profiling {
  std::string model = {};  // in the routines' names: "C16 L4" gives "mithral::encode[C16 L4 avx2]"
  bool perf_map = false;   // perf_map.h
  std::optional<std::string> jitdump_folder = std::nullopt;  // jitdump.h
};

class CompiledRoutines {
 public:
  // Emits every program. Running the functions needs a CPU with the programs' ISA. Throws InvalidArgument where a
  // profiler's file cannot be written.
  explicit CompiledRoutines(std::span<const codegen::Program> programs, const Profiling& profiling = {});

  RoutineFunction function(size_t index) const;
  std::span<const uint8_t> bytes() const { return code_.memory.first(code_.unwind_offset); }  // code and constants
  const EmittedCode& code() const { return code_; }

 private:
  struct Image {
    std::vector<uint8_t> bytes;
    std::vector<EmittedRoutine> routines;
    size_t unwind_offset;
  };
  static Image lay_out(std::span<const codegen::Program> programs, const std::string& model);
  CompiledRoutines(Image image, const Profiling& profiling);

  CodeMemory memory_;
  EmittedCode code_;
  GdbRegistration debugger_;
};

}  // namespace mithral::jit
