#include "codegen/scan/row_tables.h"

#include "codegen/program/byte_blocks.h"

namespace mithral::codegen {

void RowTables::store(const Tables& tables, uint8_t* to) const {
  for_tiles([&](int64_t first, int outputs) {
    for (int64_t c = 0; c < shape_.n_codebooks; ++c) {
      for (int64_t code = 0; code < shape_.n_entries; ++code, to += bytes_of_entry(outputs)) {
        store_entry(tables.entries(c, code) + first, outputs, to);
      }
    }
  });
}

void RowTables::store_entry(const uint8_t* entries, int outputs, uint8_t* to) const {
  int i = 0;
  for (; i + vector_outputs() <= outputs; i += vector_outputs()) {
    const uint8_t* const runs[4] = {entries + i, entries + i + lanes_, entries + i + 2 * lanes_,
                                    entries + i + 3 * lanes_};
    interleave_bytes(runs, lanes_, to + i);
  }
  for (const int vector = i; i < outputs; ++i) {
    const int within = i - vector;
    to[vector + CodeLayout::kBytesOfLane * (within % lanes_) + within / lanes_] = entries[i];
  }
}

}  // namespace mithral::codegen
