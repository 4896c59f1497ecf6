// Calls of kernels against the reference, byte for byte: every order of input and output, buffers flush against guard
// pages, rows that hold hard values and ties with thresholds (random.h, typed_data.h).
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <span>
#include <vector>

#include "codegen/model/reference.h"
#include "runtime/kernel.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/typed_data.h"

namespace mithral::testing {

template <typename T = float>
class CallChecker {
 public:
  CallChecker(const Model& model, uint64_t seed, int64_t max_rows)
      : model_(model), seed_(seed), max_rows_(max_rows), expected_(max_rows * model.n_outputs()) {
    std::mt19937_64 rng(seed);
    if constexpr (std::is_same_v<T, float>) {
      input_ = random_input(rng, max_rows * model.n_features());
    } else {
      input_ = typed_input<T>(rng, max_rows * model.n_features());
    }
    std::vector<float> floats;
    for (const T value : input_) floats.push_back(to_float(value));
    const auto x = row_major<const float>(floats.data(), max_rows, model.n_features());
    reference(model, x, row_major(expected_.data(), max_rows, model.n_outputs()));
  }

  // The first n rows. A failure says which call it was, and how the kernel computes it.
  void check(std::span<const Kernel> kernels, int64_t n) const {
    const Flush flush = n % 2 == 0 ? Flush::kEnd : Flush::kStart;
    for (const Order x_order : {Order::kRows, Order::kColumns}) {
      GuardedBuffer<T> x(n * model_.n_features(), flush);
      copy(input(n), view(x.data(), n, model_.n_features(), x_order));
      for (const Order y_order : {Order::kRows, Order::kColumns}) {
        for (const Kernel& kernel : kernels) {
          check_call(kernel, view<const T>(x.data(), n, model_.n_features(), x_order), y_order, flush);
          if (::testing::Test::HasFailure()) FAIL() << "seed " << seed_ << "\n" << kernel.program().substr(0, 20000);
        }
      }
    }
  }

 private:
  enum class Order { kRows, kColumns };

  template <typename Element>
  static MatrixView<Element> view(Element* data, int64_t rows, int64_t cols, Order order) {
    return order == Order::kRows ? row_major(data, rows, cols) : col_major(data, rows, cols);
  }

  static void copy(MatrixView<const T> from, MatrixView<T> to) {
    for (int64_t i = 0; i < to.rows; ++i) {
      for (int64_t j = 0; j < to.cols; ++j) to(i, j) = from(i, j);
    }
  }

  MatrixView<const T> input(int64_t n) const { return row_major(input_.data(), n, model_.n_features()); }

  void check_call(const Kernel& kernel, MatrixView<const T> x, Order y_order, Flush flush) const {
    const int64_t n_outputs = model_.n_outputs();
    GuardedBuffer<float> y_buffer(x.rows * n_outputs, flush);
    const MatrixView<float> y = view(y_buffer.data(), x.rows, n_outputs, y_order);
    kernel(x, y);
    for (int64_t row = 0; row < x.rows; ++row) {
      for (int64_t m = 0; m < n_outputs; ++m) {
        const float want = expected_[row * n_outputs + m], got = y(row, m);
        ASSERT_EQ(std::memcmp(&want, &got, sizeof want), 0)
            << backend_name(kernel.backend()) << " " << isa_name(kernel.isa()) << ": row " << row << " of " << x.rows
            << ", output " << m << " of " << n_outputs << ", D " << x.cols << ", "
            << input_type_name(InputTypeOf<T>::value) << ": got " << got << ", want " << want
            << (x.row_stride == 1 ? ", column-major" : ", row-major") << " in"
            << (y_order == Order::kColumns ? ", column-major" : ", row-major") << " out";
      }
    }
  }

  const Model& model_;
  uint64_t seed_;
  int64_t max_rows_;
  std::vector<T> input_;
  std::vector<float> expected_;
};

}  // namespace mithral::testing
