// Where a call writes its outputs, given that they may lie anywhere: on each other, or on the input.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>

#include "codegen/model/error.h"
#include "codegen/model/input_view.h"

namespace mithral {

// The addresses between a matrix's first byte and its last.
struct Extent {
  uintptr_t begin = 0;
  uintptr_t end = 0;
};

template <typename T>
Extent extent(MatrixView<T> v) {
  if (v.rows == 0 || v.cols == 0) return {};
  const int64_t down = (v.rows - 1) * v.row_stride, right = (v.cols - 1) * v.col_stride;
  const auto at = [&v](int64_t offset) { return reinterpret_cast<uintptr_t>(v.data) + offset * sizeof(T); };
  return {at(std::min<int64_t>(down, 0) + std::min<int64_t>(right, 0)),
          at(std::max<int64_t>(down, 0) + std::max<int64_t>(right, 0)) + sizeof(T)};
}
inline Extent extent(InputView v) {
  return v.visit([](auto view) { return extent(view); });
}

inline bool overlap(const Extent& a, const Extent& b) { return a.begin < b.end && b.begin < a.end; }

// Two elements of y at one address would leave the result to chance.
template <typename T>
void check_own_overlap(MatrixView<T> y) {
  struct Axis {
    int64_t count, stride;
  };
  Axis inner{y.rows, std::abs(y.row_stride)}, outer{y.cols, std::abs(y.col_stride)};
  if (inner.count == 0 || outer.count == 0) return;
  if (inner.stride > outer.stride) std::swap(inner, outer);
  const int64_t reach = inner.count == 1 ? 1 : (inner.count - 1) * inner.stride + 1;
  if ((inner.count > 1 && inner.stride == 0) || (outer.count > 1 && outer.stride < reach)) {
    throw InvalidArgument(message("out has elements that share memory: shape (", y.rows, ", ", y.cols,
                                  ") with strides (", y.row_stride, ", ", y.col_stride,
                                  ") elements; every element needs its own place"));
  }
}

// Where a call writes y: there, or apart from it, as the first of two steps where y overlaps x.
template <typename T>
class Destination {
 public:
  Destination(MatrixView<T> y, bool apart) : y_(y), view_(y) {
    if (!apart) return;
    own_.reset(new T[y.rows * y.cols]);
    view_ = row_major(own_.get(), y.rows, y.cols);
  }
  MatrixView<T> view() const { return view_; }
  void copy_back() const {
    if (!own_) return;
    for (int64_t row = 0; row < y_.rows; ++row) {
      for (int64_t m = 0; m < y_.cols; ++m) y_(row, m) = view_(row, m);
    }
  }

 private:
  MatrixView<T> y_, view_;
  std::unique_ptr<T[]> own_;
};

}  // namespace mithral
