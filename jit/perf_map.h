// /tmp/perf-PID.map, where perf and other profilers look for the names of code that is in no file. One line a routine:
// start and size in hex, then its name. The format has no word for code that was freed, nor for what it was; jitdump.h
// has both.
// https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/tools/perf/Documentation/jit-interface.txt
#pragma once

#include "jit/emitted_code.h"

namespace mithral::jit {

// Appends: other code generators of the process (Python's own) write the same file. Throws InvalidArgument when it
// cannot be written.
void append_to_perf_map(const EmittedCode& code);

}  // namespace mithral::jit
