// Matrices that lie in memory in every way that calls allow, flush against guard pages, and watched between the
// elements.
#pragma once

#include <cstring>
#include <vector>

#include "codegen/model/matrix_view.h"
#include "tests/support/guarded_buffer.h"

namespace mithral::testing {

enum class Lying {
  kRows,
  kColumns,
  kPaddedRows,
  kPaddedColumns,
  kEverySecond,       // gaps between the elements of a row, too
  kRowsBackwards,     // both strides negative
  kColumnsBackwards,  // rows from the last to the first, columns forwards
};
inline constexpr Lying kLyings[] = {
    Lying::kRows,        Lying::kColumns,       Lying::kPaddedRows,      Lying::kPaddedColumns,
    Lying::kEverySecond, Lying::kRowsBackwards, Lying::kColumnsBackwards};

template <typename T>
class StridedMatrix {
 public:
  // Every byte is 0xee.
  StridedMatrix(int64_t rows, int64_t cols, Lying lying, Flush flush)
      : strides_(strides_of(rows, cols, lying)), buffer_(elements(rows, cols, strides_), flush) {
    std::memset(static_cast<void*>(buffer_.data()), 0xee, buffer_.size() * sizeof(T));
    T* first = buffer_.data();
    if (rows > 0 && strides_.row < 0) first -= (rows - 1) * strides_.row;
    if (rows > 0 && strides_.col < 0) first -= (cols - 1) * strides_.col;
    view_ = {first, rows, cols, strides_.row, strides_.col};
  }
  StridedMatrix(MatrixView<const T> values, Lying lying, Flush flush)
      : StridedMatrix(values.rows, values.cols, lying, flush) {
    for (int64_t i = 0; i < values.rows; ++i) {
      for (int64_t j = 0; j < values.cols; ++j) view_(i, j) = values(i, j);
    }
  }

  MatrixView<T> view() const { return view_; }
  MatrixView<const T> const_view() const { return view_; }

  // Byte for byte, gaps included, for matrices of one shape and Lying.
  bool operator==(StridedMatrix& other) {
    return std::memcmp(buffer_.data(), other.buffer_.data(), buffer_.size() * sizeof(T)) == 0;
  }

 private:
  struct Strides {
    int64_t row, col;
  };
  static Strides strides_of(int64_t rows, int64_t cols, Lying lying) {
    switch (lying) {
      case Lying::kRows: return {cols, 1};
      case Lying::kColumns: return {1, rows};
      case Lying::kPaddedRows: return {cols + 3, 1};
      case Lying::kPaddedColumns: return {1, rows + 5};
      case Lying::kEverySecond: return {2 * cols + 1, 2};
      case Lying::kRowsBackwards: return {-cols, -1};
      case Lying::kColumnsBackwards: return {-1, rows};
    }
    return {};
  }
  static int64_t elements(int64_t rows, int64_t cols, Strides strides) {
    return rows == 0 || cols == 0 ? 0 : 1 + (rows - 1) * std::abs(strides.row) + (cols - 1) * std::abs(strides.col);
  }

  Strides strides_;
  GuardedBuffer<T> buffer_;
  MatrixView<T> view_;
};

}  // namespace mithral::testing
