// Calls of kernels against the reference, byte for byte: every order of input and output, buffers flush against guard
// pages, rows that hold hard values and ties with thresholds (random.h, typed_data.h).
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "codegen/model/reference.h"
#include "runtime/kernel.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/typed_data.h"

namespace mithral::testing {

enum class Order { kRows, kColumns };

// A matrix in both orders, so that its first rows are few contiguous ranges of either.
template <typename T>
class BothOrders {
 public:
  BothOrders(std::vector<T> by_rows, int64_t rows, int64_t cols)
      : rows_(rows), cols_(cols), by_rows_(std::move(by_rows)), by_cols_(by_rows_.size()) {
    for (int64_t j = 0; j < cols; ++j) {
      for (int64_t i = 0; i < rows; ++i) by_cols_[j * rows + i] = by_rows_[i * cols + j];
    }
  }

  // function(range, where it begins in a matrix of the first n rows, its length)
  template <typename Function>
  void for_ranges(int64_t n, Order order, const Function& function) const {
    if (order == Order::kRows) {
      function(by_rows_.data(), 0, n * cols_);
    } else {
      for (int64_t j = 0; j < cols_; ++j) function(&by_cols_[j * rows_], j * n, n);
    }
  }

  const std::vector<T>& by_rows() const { return by_rows_; }

 private:
  int64_t rows_, cols_;
  std::vector<T> by_rows_, by_cols_;
};

template <typename T = float>
class CallChecker {
 public:
  CallChecker(const Model& model, uint64_t seed, int64_t max_rows)
      : model_(model),
        seed_(seed),
        input_(make_input(model, seed, max_rows), max_rows, model.n_features()),
        expected_(make_expected(model, input_.by_rows(), max_rows), max_rows, model.n_outputs()) {}

  // The first n rows. A failure says which call it was, and how the kernel computes it.
  void check(std::span<const Kernel> kernels, int64_t n) const {
    const Flush flush = n % 2 == 0 ? Flush::kEnd : Flush::kStart;
    for (const Order x_order : {Order::kRows, Order::kColumns}) {
      GuardedBuffer<T> x(n * model_.n_features(), flush);
      input_.for_ranges(n, x_order, [&x](const T* range, int64_t begin, int64_t length) {
        std::copy_n(range, length, x.data() + begin);
      });
      for (const Order y_order : {Order::kRows, Order::kColumns}) {
        GuardedBuffer<float> y(n * model_.n_outputs(), flush);
        for (const Kernel& kernel : kernels) {
          check_call(kernel, view<const T>(x.data(), n, model_.n_features(), x_order),
                     view(y.data(), n, model_.n_outputs(), y_order), y_order);
          if (::testing::Test::HasFailure()) FAIL() << "seed " << seed_ << "\n" << kernel.program().substr(0, 20000);
        }
      }
    }
  }

 private:
  template <typename Element>
  static MatrixView<Element> view(Element* data, int64_t rows, int64_t cols, Order order) {
    return order == Order::kRows ? row_major(data, rows, cols) : col_major(data, rows, cols);
  }

  static std::vector<T> make_input(const Model& model, uint64_t seed, int64_t rows) {
    std::mt19937_64 rng(seed);
    if constexpr (std::is_same_v<T, float>) {
      return random_input(rng, rows * model.n_features());
    } else {
      return typed_input<T>(rng, rows * model.n_features());
    }
  }

  static std::vector<float> make_expected(const Model& model, const std::vector<T>& input, int64_t rows) {
    std::vector<float> floats, result(rows * model.n_outputs());
    for (const T value : input) floats.push_back(to_float(value));
    const auto x = row_major<const float>(floats.data(), rows, model.n_features());
    reference(model, x, row_major(result.data(), rows, model.n_outputs()));
    return result;
  }

  // Outputs are a NaN before the call that none of a model is.
  void check_call(const Kernel& kernel, MatrixView<const T> x, MatrixView<float> y, Order y_order) const {
    std::fill_n(y.data, y.rows * y.cols, std::bit_cast<float>(~0u));
    kernel(x, y);
    bool same = true;
    expected_.for_ranges(x.rows, y_order, [&](const float* range, int64_t begin, int64_t length) {
      same = same && std::memcmp(range, y.data + begin, length * sizeof(float)) == 0;
    });
    if (!same) report_difference(kernel, x, y, y_order);
  }

  void report_difference(const Kernel& kernel, MatrixView<const T> x, MatrixView<float> y, Order y_order) const {
    for (int64_t row = 0; row < y.rows; ++row) {
      for (int64_t m = 0; m < y.cols; ++m) {
        const float want = expected_.by_rows()[row * y.cols + m], got = y(row, m);
        ASSERT_EQ(std::memcmp(&want, &got, sizeof want), 0)
            << backend_name(kernel.backend()) << " " << isa_name(kernel.isa()) << ": row " << row << " of " << y.rows
            << ", output " << m << " of " << y.cols << ", D " << x.cols << ", "
            << input_type_name(InputTypeOf<T>::value) << ": got " << got << ", want " << want
            << (x.row_stride == 1 ? ", column-major" : ", row-major") << " in"
            << (y_order == Order::kColumns ? ", column-major" : ", row-major") << " out";
      }
    }
    FAIL() << "outputs differ, and their elements do not";
  }

  const Model& model_;
  uint64_t seed_;
  BothOrders<T> input_;
  BothOrders<float> expected_;
};

}  // namespace mithral::testing
