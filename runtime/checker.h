// MITHRAL_CHECK: the interpreter, of the model as given, beside whatever runs.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <tuple>

#include "codegen/model/error.h"
#include "runtime/destination.h"
#include "runtime/executable.h"

namespace mithral {

class Checker {
 public:
  Checker(const Model& model, Activation activation, const Target& target)
      : interpreter_(model, activation, Backend::kInterpreter, target, codegen::choose_schedule(model, target)) {}

  // Computes the first rows again and compares them with what `compute(executor, rows, y...)` left in y. Throws
  // InternalError where a byte differs; its message ends with `texts()`.
  template <typename Compute, typename Texts, typename... T>
  void compare(Compute&& compute, Texts&& texts, const Rows& rows, MatrixView<T>... y) const {
    constexpr int64_t kCheckedRows = 64;
    const Rows first = rows.range(0, std::min(rows.count(), kCheckedRows));
    const std::tuple<Destination<T>...> expected(Destination<T>(y.row_range(0, first.count()), true)...);
    std::apply([&](const auto&... want) { compute(interpreter_.executor, first, want.view()...); }, expected);
    std::apply([&](const auto&... want) { (expect_equal(want.view(), y, texts), ...); }, expected);
  }

 private:
  template <typename T, typename Texts>
  static void expect_equal(MatrixView<T> want, MatrixView<T> got, Texts&& texts) {
    for (int64_t row = 0; row < want.rows; ++row) {
      for (int64_t m = 0; m < want.cols; ++m) {
        if (std::memcmp(&want(row, m), &got(row, m), sizeof(T)) == 0) continue;
        throw InternalError(message("MITHRAL_CHECK: row ", row, ", output ", m, ": the kernel gives ", +got(row, m),
                                    ", the interpreter ", +want(row, m), "\n", texts()));
      }
    }
  }

  Executable interpreter_;
};

}  // namespace mithral
