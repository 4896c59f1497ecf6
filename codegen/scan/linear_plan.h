// The sizes that code which adds up linear dims depends on.
#pragma once

#include "codegen/model/linear_dims.h"

namespace mithral::codegen {

struct LinearPlan {
  int64_t n_fours = 0;     // of dims; 0: there are none
  int shift = 0;           // of sums of table entries, before linear ones are added
  int fours_in_words = 1;  // whose products are added in 16 bits, where there is no instruction that adds in 32

  bool empty() const { return n_fours == 0; }
};

// Proves from the weights how many fours may share their 16-bit sums: 1 or 2.
LinearPlan plan_linear(const LinearDims& linear);

}  // namespace mithral::codegen
