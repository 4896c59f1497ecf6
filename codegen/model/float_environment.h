// IEEE 754 defaults for the duration of a scope.
#pragma once

#include <xmmintrin.h>

namespace mithral {

// Round-to-nearest-even, denormals kept, all exceptions masked: the float environment that the model contract is stated
// in. Restores the caller's MXCSR, so a process that runs with flush-to-zero or another rounding mode gets the same
// bytes from us and finds its own settings unchanged.
class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment() : saved_(_mm_getcsr()) {
    if (saved_ != kDefault) _mm_setcsr(kDefault);
  }
  ~DefaultFloatEnvironment() { _mm_setcsr(saved_); }
  DefaultFloatEnvironment(const DefaultFloatEnvironment&) = delete;
  DefaultFloatEnvironment& operator=(const DefaultFloatEnvironment&) = delete;

 private:
  static constexpr unsigned kDefault = 0x1f80;
  unsigned saved_;
};

}  // namespace mithral
