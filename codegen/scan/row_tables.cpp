#include "codegen/scan/row_tables.h"

namespace mithral::codegen {

void RowTables::store(uint8_t* to) const {
  for_tiles([&](int64_t first, int outputs) {
    for (int64_t c = 0; c < model_.n_codebooks(); ++c) {
      for (int64_t leaf = 0; leaf < model_.n_leaves(); ++leaf, to += bytes_of_leaf(outputs)) {
        for (int i = 0; i < outputs; ++i) to[place(i)] = model_.lut(c, leaf, first + i);
      }
    }
  });
}

int RowTables::place(int i) const {
  const int within = i % vector_outputs();
  return i - within + CodeLayout::kBytesOfLane * (within % lanes_) + within / lanes_;
}

}  // namespace mithral::codegen
