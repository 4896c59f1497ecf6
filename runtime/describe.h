// What a kernel is and why: Kernel::describe().
#pragma once

#include <string>

#include "codegen/lower.h"
#include "runtime/tune.h"

namespace mithral {

// What simplifying `given` to `model` left out, the schedule's choices, then the candidates with expected and measured
// times, and what was refused.
std::string describe(const Model& given, const Model& model, const codegen::LoweredModel& lowered,
                     const Tuning& tuning);

}  // namespace mithral
