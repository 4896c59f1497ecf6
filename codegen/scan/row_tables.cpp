#include "codegen/scan/row_tables.h"

#include "codegen/program/byte_blocks.h"

namespace mithral::codegen {

void RowTables::store(const Tables& tables, const LinearDims& linear, uint8_t* to) const {
  for_tiles([&](int64_t first, int outputs) {
    for (int64_t c = 0; c < shape_.n_codebooks; ++c) {
      for (int64_t code = 0; code < shape_.n_entries; ++code, to += padded_outputs(outputs)) {
        store_entries(tables.entries(c, code) + first, outputs, to);
      }
    }
    store_weights(linear, first, outputs, to);
    to += bytes_of_tile(outputs) - bytes_of_codebooks(outputs);
  });
}

void RowTables::store_weights(const LinearDims& linear, int64_t first_output, int outputs, uint8_t* to) const {
  for (int64_t s = 0; s < shape_.n_linear; ++s) {
    const int8_t* weights = linear.weights_of(s) + first_output;
    uint8_t* of_four = to + s / CodeLayout::kBytesOfLane * bytes_of_four(outputs) + s % CodeLayout::kBytesOfLane;
    for (int m = 0; m < outputs; ++m) of_four[m * CodeLayout::kBytesOfLane] = static_cast<uint8_t>(weights[m]);
  }
}

void RowTables::store_entries(const uint8_t* entries, int outputs, uint8_t* to) const {
  const int whole = round_down(outputs, vector_outputs());
  for (int i = 0; i < whole; i += vector_outputs()) {
    const uint8_t* const runs[4] = {entries + i, entries + i + lanes_, entries + i + 2 * lanes_,
                                    entries + i + 3 * lanes_};
    interleave_bytes(runs, lanes_, to + i);
  }
  for (int i = 0; i < outputs - whole; ++i) {
    to[whole + CodeLayout::kBytesOfLane * (i % lanes_) + i / lanes_] = entries[whole + i];
  }
}

}  // namespace mithral::codegen
