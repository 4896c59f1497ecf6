// FOLDER/jit-PID.dump: everything about emitted code that `perf inject --jit` needs to make ELF files of it, so that
// perf annotates and unwinds it like compiled code. Records carry times; code that was freed keeps its samples.
// https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/tools/perf/Documentation/jitdump-specification.txt
#pragma once

#include <string>

#include "jit/emitted_code.h"

namespace mithral::jit {

// Bytes from a routine's start in which perf sees its code and unwind information: no other routine may begin there, or
// perf would not find the latter.
size_t extent_for_jitdump(const EmittedRoutine& routine);

// Appends to the process's file in the folder, made anew by the first call; a forked child gets one of its own.
// Thread-safe. Throws InvalidArgument when the file cannot be written, or not mapped as executable, which is how
// `perf record` notices it.
void append_to_jitdump(const std::string& folder, const EmittedCode& code);

}  // namespace mithral::jit
