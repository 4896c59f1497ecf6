#include "jit/compiled_routines.h"

#include <algorithm>

#include "codegen/model/error.h"
#include "codegen/model/multiples.h"
#include "jit/emit.h"
#include "jit/jitdump.h"
#include "jit/perf_map.h"
#include "jit/unwind_info.h"

namespace mithral::jit {
namespace {

void pad(std::vector<uint8_t>& bytes, size_t alignment) { bytes.resize(round_up(bytes.size(), alignment), kInt3); }

std::string routine_name(const codegen::Program& program, const std::string& model) {
  return message("mithral::", program.name, "[", model, model.empty() ? "" : " ", isa_name(program.target.isa), "]");
}

}  // namespace

CompiledRoutines::Image CompiledRoutines::lay_out(std::span<const codegen::Program> programs,
                                                  const std::string& model) {
  Image image;
  for (const codegen::Program& program : programs) {
    pad(image.bytes, kPageBytes);  // for CodeMemory::add_frames
    MachineCode code = emit(program);
    image.routines.push_back(
        {routine_name(program, model), image.bytes.size(), code.code_bytes, std::move(code.frame)});
    image.bytes.insert(image.bytes.end(), code.bytes.begin(), code.bytes.end());
    const EmittedRoutine& routine = image.routines.back();
    image.bytes.resize(std::max(image.bytes.size(), routine.offset + extent_for_jitdump(routine)), kInt3);
  }
  pad(image.bytes, kUnwindAlignment);
  image.unwind_offset = image.bytes.size();
  const std::vector<uint8_t> unwind = eh_frame(image.routines, image.unwind_offset);
  image.bytes.insert(image.bytes.end(), unwind.begin(), unwind.end());
  return image;
}

CompiledRoutines::CompiledRoutines(std::span<const codegen::Program> programs, const Profiling& profiling)
    : CompiledRoutines(lay_out(programs, profiling.model), profiling) {}

CompiledRoutines::CompiledRoutines(Image image, const Profiling& profiling)
    : memory_(image.bytes),
      code_{{memory_.data(), memory_.size()}, std::move(image.routines), image.unwind_offset},
      debugger_(code_) {
  for (const EmittedRoutine& routine : code_.routines) memory_.add_frames(routine);
  if (profiling.jitdump_folder) append_to_jitdump(*profiling.jitdump_folder, code_);
  if (profiling.perf_map) append_to_perf_map(code_);  // last: no failure may follow, as its names cannot be taken back
}

RoutineFunction CompiledRoutines::function(size_t index) const {
  return reinterpret_cast<RoutineFunction>(
      reinterpret_cast<uintptr_t>(memory_.data() + code_.routines.at(index).offset));
}

}  // namespace mithral::jit
