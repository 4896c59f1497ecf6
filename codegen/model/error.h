// Error types of the whole project. Every message says what is wrong, which value was given, and what is allowed.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>

namespace mithral {

// A wrong shape, dtype, value or option from the caller. Python: ValueError.
class InvalidArgument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// Model data that breaks a rule of the model contract (model.h). Python: mithral.BadModelError, a ValueError.
class BadModel : public InvalidArgument {
 public:
  using InvalidArgument::InvalidArgument;
};

// An ISA that this CPU, or this build, cannot run. Python: mithral.UnsupportedTargetError, a RuntimeError.
class UnsupportedTarget : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A broken invariant inside the library: a defect of ours, never of the caller. Python: RuntimeError.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Joins its arguments into one message: `throw InvalidArgument(message("depth is ", depth, "; allowed: 1 to 8"))`.
template <typename... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

template <typename Error = InvalidArgument>
void check_range(const char* what, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) throw Error(message(what, " is ", value, "; allowed: ", low, " to ", high));
}

inline void check_length(const char* array, size_t length, int64_t expected, const char* shape) {
  if (length != static_cast<size_t>(expected)) {
    throw BadModel(message(array, " has ", length, " entries; expected ", expected, " for shape ", shape));
  }
}

inline void check_finite(const char* array, std::span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      throw BadModel(message(array, "[", i, "] is ", values[i], "; allowed: finite values"));
    }
  }
}

// Checks an invariant of our own, in every build type: codegen and jit run it when a kernel is built, never in a hot
// loop.
inline void ensure(bool condition, const char* what) {
  if (!condition) throw InternalError(message("internal error: ", what));
}

}  // namespace mithral
