// How tables lie for adding up rows of them: the entries of a code are together, a byte an output.
//
//     | tile 0, of the first outputs                                                       | tile 1 ...
//     | codebook 0                   | codebook 1                | ...| weights, if any     |
//     | code 0 | code 1 | ...        | code 0 | ...                   | dims 0..3 | 4..7 | ..|
//
// A code's entries fill whole vectors; only the last tile may have fewer outputs. Within a vector the outputs are in
// the order that makes shifting and masking its W lanes yield W consecutive ones, as kFourRows does with rows
// (code_layout.h): byte 4 * i + j is output j * W + i. The weights of four dims are four bytes an output, for as many
// outputs, in order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "codegen/model/multiples.h"
#include "codegen/program/code_layout.h"
#include "codegen/scan/table_shape.h"

namespace mithral::codegen {

class RowTables {
 public:
  // tile_outputs is a multiple of a vector's bytes, 4 * lanes.
  RowTables(const TableShape& shape, int tile_outputs, int lanes)
      : shape_(shape), tile_outputs_(tile_outputs), lanes_(lanes) {}

  int vector_outputs() const { return CodeLayout::kBytesOfLane * lanes_; }
  int n_vectors(int outputs) const { return divide_up(outputs, vector_outputs()); }

  // Outputs to whole vectors: the bytes of a code's entries, and the floats of their scales.
  int64_t padded_outputs(int outputs) const { return int64_t{n_vectors(outputs)} * vector_outputs(); }

  int64_t bytes_of_codebooks(int outputs) const {
    return shape_.n_codebooks * shape_.n_entries * padded_outputs(outputs);
  }
  int64_t bytes_of_four(int outputs) const { return CodeLayout::kBytesOfLane * padded_outputs(outputs); }
  int64_t bytes_of_tile(int outputs) const {
    return bytes_of_codebooks(outputs) + divide_up(shape_.n_linear, CodeLayout::kBytesOfLane) * bytes_of_four(outputs);
  }
  int64_t bytes() const {
    return sum_of_tiles([this](int outputs) { return bytes_of_tile(outputs); });
  }

  // The floats of scales and offsets (scales.h): two for every place of a code's entries.
  int64_t scale_floats() const {
    return sum_of_tiles([this](int outputs) { return 2 * padded_outputs(outputs); });
  }

  // Where tile `tile` begins, in bytes of tables and in floats of scales.
  int64_t tile_begin(int64_t tile) const { return tile * bytes_of_tile(tile_outputs_); }
  int64_t scales_begin(int64_t tile) const { return tile * 2 * tile_outputs_; }

  // Calls `visit(first_output, outputs)` for every tile.
  template <typename Visit>
  void for_tiles(Visit&& visit) const {
    for (int64_t first = 0; first < shape_.n_outputs; first += tile_outputs_) {
      visit(first, static_cast<int>(std::min<int64_t>(tile_outputs_, shape_.n_outputs - first)));
    }
  }

  // Into zeroed memory of bytes(). `tables` and `linear` have the shape.
  void store(const Tables& tables, const LinearDims& linear, uint8_t* to) const;

  bool operator==(const RowTables&) const = default;

 private:
  template <typename Size>
  int64_t sum_of_tiles(Size&& size) const {
    const int rest = static_cast<int>(shape_.n_outputs % tile_outputs_);
    return shape_.n_outputs / tile_outputs_ * size(tile_outputs_) + (rest > 0 ? size(rest) : 0);
  }

  void store_entries(const uint8_t* entries, int outputs, uint8_t* to) const;
  void store_weights(const LinearDims& linear, int64_t first_output, int outputs, uint8_t* to) const;

  TableShape shape_;
  int tile_outputs_, lanes_;
};

}  // namespace mithral::codegen
