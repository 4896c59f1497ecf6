#include "codegen/scan/linear_plan.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "codegen/model/multiples.h"
#include "codegen/program/code_layout.h"

namespace mithral::codegen {
namespace {

constexpr int64_t kDimsOfFour = CodeLayout::kBytesOfLane, kPair = 2;
constexpr int kTwoFours = 2;  // four would save a tenth of the instructions, and need registers

// Whether 16 bits hold what these dims can add up to, for every output.
bool fit_word(const LinearDims& linear, const std::vector<int64_t>& dims) {
  std::vector<int> highest(linear.n_outputs()), lowest(linear.n_outputs());
  for (const int64_t dim : dims) {
    const int8_t* weights = linear.weights_of(dim);
    for (int64_t m = 0; m < linear.n_outputs(); ++m) {
      highest[m] += LinearDims::kMaxQuantised * std::max<int>(weights[m], 0);
      lowest[m] += LinearDims::kMaxQuantised * std::min<int>(weights[m], 0);
    }
  }
  return *std::max_element(highest.begin(), highest.end()) <= INT16_MAX &&
         *std::min_element(lowest.begin(), lowest.end()) >= INT16_MIN;
}

// Whether they hold the sums of two fours, from any multiple of two on. The first two dims of a four have a sum of
// their own, and so have the other two.
bool two_fours_fit(const LinearDims& linear) {
  for (int64_t first = 0; first < linear.size(); first += kTwoFours * kDimsOfFour) {
    std::vector<int64_t> words[kDimsOfFour / kPair];
    for (int64_t s = first; s < std::min(first + kTwoFours * kDimsOfFour, linear.size()); ++s) {
      words[s % kDimsOfFour / kPair].push_back(s);
    }
    for (const std::vector<int64_t>& dims : words) {
      if (!fit_word(linear, dims)) return false;
    }
  }
  return true;
}

}  // namespace

LinearPlan plan_linear(const LinearDims& linear) {
  return {.n_fours = divide_up(linear.size(), kDimsOfFour),
          .shift = linear.shift(),
          .fours_in_words = !linear.empty() && two_fours_fit(linear) ? kTwoFours : 1};
}

}  // namespace mithral::codegen
