// A borrowed two-dimensional view: pointer, shape, strides. Owns nothing, checks nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace mithral {

// Element (i, j) is data[i * row_stride + j * col_stride]; strides count elements and may be negative or zero.
template <typename T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;
  int64_t col_stride = 1;

  T& operator()(int64_t i, int64_t j) const { return data[i * row_stride + j * col_stride]; }

  MatrixView row_range(int64_t first, int64_t count) const {
    return {data + first * row_stride, count, cols, row_stride, col_stride};
  }

  // A writable view converts to a read-only one.
  operator MatrixView<const T>() const requires(!std::is_const_v<T>) {
    return {data, rows, cols, row_stride, col_stride};
  }
};

// Rows contiguous (NumPy's C order).
template <typename T>
MatrixView<T> row_major(T* data, int64_t rows, int64_t cols) {
  return {data, rows, cols, cols, 1};
}

// Columns contiguous (NumPy's Fortran order).
template <typename T>
MatrixView<T> col_major(T* data, int64_t rows, int64_t cols) {
  return {data, rows, cols, 1, rows};
}

}  // namespace mithral
