// What a call must give, and all results of an executor compared with it: outputs, sums, argmax, top-k, lying anywhere.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "codegen/model/activation.h"
#include "codegen/model/reference.h"
#include "runtime/execute.h"
#include "tests/support/strided.h"

namespace mithral::testing {

template <typename T, size_t n>
T pick(std::mt19937_64& rng, const T (&values)[n]) {
  return values[rng() % n];
}

class Expected {
 public:
  // Of codes (rows, C), by the tables' definition.
  Expected(const Tables& tables, MatrixView<const uint8_t> codes, Activation activation)
      : Expected(codes.rows, tables.n_outputs()) {
    reference_outputs(tables, codes, row_major(y_.data(), rows_, cols_));
    reference_sums(tables, codes, row_major(sums_.data(), rows_, cols_));
    activate(activation);
  }

  // Of rows (rows, D), by the model's.
  Expected(const Model& model, MatrixView<const float> x, Activation activation) : Expected(x.rows, model.n_outputs()) {
    reference(model, x, row_major(y_.data(), rows_, cols_));
    reference_sums(model, x, row_major(sums_.data(), rows_, cols_));
    activate(activation);
  }

  MatrixView<const float> outputs() const { return row_major(y_.data(), rows_, cols_); }
  MatrixView<const int32_t> sums() const { return row_major(sums_.data(), rows_, cols_); }

  // (rows, k): of each row's outputs the largest, falling; of equal ones the first.
  std::vector<int64_t> largest(int64_t k) const {
    std::vector<int64_t> result, order(cols_);
    for (int64_t row = 0; row < rows_; ++row) {
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return outputs()(row, a) > outputs()(row, b); });
      result.insert(result.end(), order.begin(), order.begin() + k);
    }
    return result;
  }
  std::vector<float> values(const std::vector<int64_t>& indices) const {
    std::vector<float> result;
    const auto k = static_cast<int64_t>(indices.size()) / std::max<int64_t>(rows_, 1);
    for (size_t i = 0; i < indices.size(); ++i) result.push_back(outputs()(static_cast<int64_t>(i) / k, indices[i]));
    return result;
  }

 private:
  Expected(int64_t rows, int64_t cols) : rows_(rows), cols_(cols), y_(rows * cols), sums_(rows * cols) {}

  void activate(Activation activation) {
    for (float& value : y_) {
      if (activation == Activation::kRelu && !(value > 0)) value = 0;
    }
  }

  int64_t rows_, cols_;
  std::vector<float> y_;
  std::vector<int32_t> sums_;
};

// `compute` writes the matrix that it gets; its bytes and those between its elements are as they should be.
template <typename T, typename Compute>
void expect_matrix(MatrixView<const T> expected, Lying lying, Flush flush, const char* what, Compute&& compute) {
  StridedMatrix<T> want(expected, lying, flush), got(expected.rows, expected.cols, lying, flush);
  compute(got.view());
  EXPECT_TRUE(got == want) << what << ", lying " << static_cast<int>(lying);
}

// All results of one executor for the rows.
inline void expect_results(const Executor& executor, const Rows& rows, const Expected& expected, std::mt19937_64& rng) {
  const Flush flush = rng() % 2 == 0 ? Flush::kEnd : Flush::kStart;
  const auto lying = [&] { return pick(rng, kLyings); };
  const int64_t n = rows.count(), n_outputs = expected.outputs().cols;
  expect_matrix(expected.outputs(), lying(), flush, "outputs", [&](auto y) { executor.outputs(rows, y); });
  expect_matrix(expected.sums(), lying(), flush, "sums", [&](auto y) { executor.sums(rows, y); });
  const std::vector<int64_t> first = expected.largest(1);
  expect_matrix(row_major(first.data(), n, 1), lying(), flush, "argmax", [&](auto to) { executor.argmax(rows, to); });
  const int64_t k = std::min<int64_t>(n_outputs, 1 + static_cast<int64_t>(rng() % 8));
  const std::vector<int64_t> indices = expected.largest(k);
  const std::vector<float> values = expected.values(indices);
  expect_matrix(row_major(values.data(), n, k), lying(), flush, "values", [&](auto to) {
    expect_matrix(row_major(indices.data(), n, k), lying(), flush, "indices",
                  [&](auto which) { executor.top_k(rows, to, which); });
  });
}

}  // namespace mithral::testing
