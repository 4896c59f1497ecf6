#include "codegen/scan/linear_plan.h"

#include <algorithm>
#include <vector>

#include "codegen/model/multiples.h"

namespace mithral::codegen {
namespace {

constexpr int64_t kFour = 4, kPair = 2;
constexpr int kMostInWords = 2;  // four would save a tenth of the instructions, and need registers

// Whether 16 bits hold, for every output, what `n_fours` fours from any multiple of theirs on can add up to. The first
// two dims of a four have a sum of their own, and so have the other two.
bool fit_words(const LinearDims& linear, int n_fours) {
  const int64_t n_outputs = linear.n_outputs();
  for (int64_t first = 0; first < linear.size(); first += n_fours * kFour) {
    for (int64_t pair = 0; pair < kFour; pair += kPair) {
      std::vector<int> highest(n_outputs), lowest(n_outputs);
      for (int64_t four = first; four < std::min(first + n_fours * kFour, linear.size()); four += kFour) {
        for (int64_t s = four + pair; s < std::min(four + pair + kPair, linear.size()); ++s) {
          const int8_t* weights = linear.weights_of(s);
          for (int64_t m = 0; m < n_outputs; ++m) {
            highest[m] += LinearDims::kMaxQuantised * std::max<int>(weights[m], 0);
            lowest[m] += LinearDims::kMaxQuantised * std::min<int>(weights[m], 0);
          }
        }
      }
      if (*std::max_element(highest.begin(), highest.end()) > INT16_MAX) return false;
      if (*std::min_element(lowest.begin(), lowest.end()) < INT16_MIN) return false;
    }
  }
  return true;
}

}  // namespace

LinearPlan plan_linear(const LinearDims& linear) {
  LinearPlan plan{.n_fours = divide_up(linear.size(), kFour), .shift = linear.shift()};
  while (!linear.empty() && plan.fours_in_words < kMostInWords && fit_words(linear, 2 * plan.fours_in_words)) {
    plan.fours_in_words *= 2;
  }
  return plan;
}

}  // namespace mithral::codegen
