// Who executes kernels.
#pragma once

#include <string>

namespace mithral {

// All return the same bytes.
enum class Backend {
  kJit,          // machine code emitted for this model
  kGeneric,      // ahead-of-time C++ that reads the model at run time
  kInterpreter,  // the vector program, one operation at a time; runs on any CPU
};

const char* backend_name(Backend backend);           // "jit", "generic", "interpreter"
Backend backend_from_name(const std::string& name);  // throws InvalidArgument that lists the names

}  // namespace mithral
