// Programs -> callable functions: all routines of a kernel in one piece of code memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "codegen/program.h"
#include "jit/code_memory.h"

namespace mithral::jit {

using RoutineFunction = void (*)(const int64_t* args);

class CompiledRoutines {
 public:
  // Emits every program. Running the functions needs a CPU with the programs' ISA.
  explicit CompiledRoutines(std::span<const codegen::Program> programs);

  RoutineFunction function(size_t index) const;
  std::span<const uint8_t> bytes() const { return {memory_->data(), memory_->size()}; }

 private:
  std::unique_ptr<CodeMemory> memory_;
  std::vector<size_t> offsets_;
};

}  // namespace mithral::jit
