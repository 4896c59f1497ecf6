// Tables for adding up rows of them: the entries of a leaf are together, a byte an output.
//
//     | tile 0, of the first outputs                                  | tile 1 ...
//     | codebook 0                   | codebook 1                | ...|
//     | leaf 0 | leaf 1 | ...        | leaf 0 | ...
//
// A leaf's entries fill whole vectors; only the last tile may have fewer outputs. Within a vector the outputs are in
// the order that makes shifting and masking its W lanes yield W consecutive ones, as kFourRows does with rows
// (layout.h): byte 4 * i + j is output j * W + i.
#pragma once

#include <algorithm>
#include <cstdint>

#include "codegen/model/model.h"
#include "codegen/model/multiples.h"
#include "codegen/program/code_layout.h"

namespace mithral::codegen {

class RowTables {
 public:
  // tile_outputs is a multiple of a vector's bytes, 4 * lanes.
  RowTables(const Model& model, int tile_outputs, int lanes)
      : model_(model), tile_outputs_(tile_outputs), lanes_(lanes) {}

  int vector_outputs() const { return CodeLayout::kBytesOfLane * lanes_; }
  int n_vectors(int outputs) const { return divide_up(outputs, vector_outputs()); }
  int64_t bytes_of_leaf(int outputs) const { return int64_t{n_vectors(outputs)} * vector_outputs(); }
  int64_t bytes_of_tile(int outputs) const { return model_.n_codebooks() * model_.n_leaves() * bytes_of_leaf(outputs); }
  int64_t bytes() const {
    int64_t sum = 0;
    for_tiles([&](int64_t, int outputs) { sum += bytes_of_tile(outputs); });
    return sum;
  }

  // Calls `visit(first_output, outputs)` for every tile.
  template <typename Visit>
  void for_tiles(Visit&& visit) const {
    for (int64_t first = 0; first < model_.n_outputs(); first += tile_outputs_) {
      visit(first, static_cast<int>(std::min<int64_t>(tile_outputs_, model_.n_outputs() - first)));
    }
  }

  // Into zeroed memory of bytes().
  void store(uint8_t* to) const;

 private:
  // The byte of the i-th output of a tile.
  int place(int i) const;

  const Model& model_;
  int tile_outputs_, lanes_;
};

}  // namespace mithral::codegen
