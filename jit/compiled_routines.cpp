#include "jit/compiled_routines.h"

#include "jit/emit.h"

namespace mithral::jit {

CompiledRoutines::CompiledRoutines(std::span<const codegen::Program> programs) {
  constexpr size_t kAlignment = 64;
  std::vector<uint8_t> all;
  for (const codegen::Program& program : programs) {
    all.resize((all.size() + kAlignment - 1) / kAlignment * kAlignment, 0xcc);
    offsets_.push_back(all.size());
    const MachineCode code = emit(program);
    all.insert(all.end(), code.bytes.begin(), code.bytes.end());
  }
  memory_ = std::make_unique<CodeMemory>(all);
}

RoutineFunction CompiledRoutines::function(size_t index) const {
  return reinterpret_cast<RoutineFunction>(reinterpret_cast<uintptr_t>(memory_->data() + offsets_.at(index)));
}

}  // namespace mithral::jit
