#include "codegen/scan/scales.h"

#include <algorithm>

namespace mithral::codegen {

void store_scale_pairs(const Tables& tables, float* to) {
  for (int64_t m = 0; m < tables.n_outputs(); ++m) {
    *to++ = tables.scale()[m];
    *to++ = tables.offset()[m];
  }
}

void store_scale_tiles(const Tables& tables, const RowTables& rows, float* to) {
  rows.for_tiles([&](int64_t first, int outputs) {
    for (const std::vector<float>* of_outputs : {&tables.scale(), &tables.offset()}) {
      std::copy_n(of_outputs->begin() + first, outputs, to);
      to += rows.padded_outputs(outputs);
    }
  });
}

}  // namespace mithral::codegen
