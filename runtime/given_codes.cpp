#include "runtime/given_codes.h"

#include <algorithm>

#include "codegen/model/reference.h"

namespace mithral {
namespace {

// The largest of contiguous bytes: a loop that the compiler turns into vectors.
uint8_t largest(const uint8_t* bytes, int64_t count, uint8_t most) {
  for (int64_t i = 0; i < count; ++i) most = std::max(most, bytes[i]);
  return most;
}

}  // namespace

void check_given_codes(MatrixView<const uint8_t> codes, int64_t n_entries) {
  if (n_entries > 255) return;
  MatrixView<const uint8_t> inner = codes;  // its columns are next to one another, if any axis' elements are
  if (codes.row_stride == 1) inner = {codes.data, codes.cols, codes.rows, codes.col_stride, 1};
  uint8_t most = 0;
  for (int64_t i = 0; i < inner.rows; ++i) {
    if (inner.col_stride == 1) {
      most = largest(&inner(i, 0), inner.cols, most);
    } else {
      for (int64_t j = 0; j < inner.cols; ++j) most = std::max(most, inner(i, j));
    }
  }
  if (most >= n_entries) check_codes(codes, n_entries);
}

}  // namespace mithral
