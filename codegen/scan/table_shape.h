// The sizes of tables and weights, all that code and layouts know of them.
#pragma once

#include <cstdint>

#include "codegen/model/linear_dims.h"
#include "codegen/model/tables.h"

namespace mithral::codegen {

struct TableShape {
  int64_t n_codebooks = 0;  // C
  int64_t n_entries = 0;    // K
  int64_t n_outputs = 0;    // M
  int64_t n_linear = 0;     // S

  bool operator==(const TableShape&) const = default;
};

inline TableShape table_shape(const Tables& tables, const LinearDims& linear = {}) {
  return {tables.n_codebooks(), tables.n_entries(), tables.n_outputs(), linear.size()};
}

}  // namespace mithral::codegen
