// The rows of a call: features that an encoder reads, or codes that the caller gives.
#pragma once

#include "codegen/model/input_view.h"

namespace mithral {

struct Rows {
  enum class Kind { kFeatures, kCodes };

  Rows(InputView features) : view(features), kind(Kind::kFeatures) {}
  template <typename T>
  Rows(MatrixView<T> features) : Rows(InputView(features)) {}
  static Rows codes(MatrixView<const uint8_t> codes) { return {codes, Kind::kCodes}; }

  int64_t count() const { return view.rows; }
  Rows range(int64_t first, int64_t n) const { return {view.row_range(first, n), kind}; }

  InputView view;  // of codes: (N, C), uint8
  Kind kind;

 private:
  Rows(InputView v, Kind k) : view(v), kind(k) {}
};

}  // namespace mithral
