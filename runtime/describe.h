// What a kernel is and why: Kernel::describe().
#pragma once

#include <optional>
#include <string>

#include "runtime/executable.h"
#include "runtime/tune.h"

namespace mithral {

// What simplifying `given` left out, the schedule's choices, then the candidates with expected and measured
// times, if there are any, and what was refused.
std::string describe(const Model& given, const Executable& simplified, const std::optional<Tuning>& tuning);

}  // namespace mithral
