// Where things are in memory between the routines of a kernel. W is the number of 32-bit lanes of a vector.
//
// Codes: blocks of rows, all codebooks of a block together, in vectors of W lanes of four bytes. The bytes of a lane
// are either
//
// kFourRows: four rows W apart, of one codebook
//
//     codes:  | block 0, 4W rows                           | block 1 ...
//             | codebook 0      | codebook 1      | ...    |
//
//     one vector:            byte     0    1     2     3      4    5 ...
//                            row      0    W    2W    3W      1   W+1 ...      (rows of the block)
//                            lane     |------- 0 -------|   |-- 1 --
//
// so that shifting and masking lanes yields W consecutive rows at a time, on every vector length alike, and no
// instruction has to cross lanes; or
//
// kFourCodebooks: four codebooks of one row
//
//     codes:  | block 0, W rows                            | block 1 ...
//             | codebooks 0..3  | codebooks 4..7  | ...    |
//
//     one vector:            byte     0    1     2     3      4    5 ...
//                            codebook 0    1     2     3      0    1 ...       (of the four)
//                            lane     |------ row 0 ----|   |-- row 1
//
// where the byte of codebook c is code + 16 * (c mod 4): the place of its entry in a table of four codebooks side by
// side. Missing codebooks of the last four are code 0 of tables that hold 0.
//
// Linear dims, quantised (model/linear_dims.h): behind the codes of a block, four dims of a row to a lane, whatever the
// codes' packing; for each four the vectors of the block's rows, W rows each
//
//     block:  | codes | dims 0..3 of rows 0..W-1 | of rows W.. | ... | dims 4..7 of rows 0..W-1 | ... |
//
// Missing dims of the last four are 0.
//
// Staged columns: the columns that the model reads, copied out of row-major (or any other) input:
//
//     staged[u * staged_rows + r] = x[r][columns[u]]         float32, u = 0 .. columns-1, r = 0 .. staged_rows-1
//
// Columns of smaller elements (input_view.h) begin at the same places and leave the rest of theirs unused.
#pragma once

#include <cstdint>

#include "codegen/model/multiples.h"

namespace mithral::codegen {

struct CodeLayout {
  enum class Packing { kFourRows, kFourCodebooks };  // what the four bytes of a lane are

  static constexpr int kBytesOfLane = 4;
  static constexpr int kFourthEntries = 16;  // of a codebook in a table of four, and so its largest number of leaves

  Packing packing;
  int lanes;  // W
  int64_t n_codebooks;
  int64_t n_linear = 0;  // S

  int block_rows() const { return packing == Packing::kFourRows ? kBytesOfLane * lanes : lanes; }
  int vector_bytes() const { return kBytesOfLane * lanes; }
  int64_t vectors_of_block() const {
    return packing == Packing::kFourRows ? n_codebooks : divide_up(n_codebooks, kBytesOfLane);
  }
  int64_t code_bytes() const { return vectors_of_block() * vector_bytes(); }  // of a block
  int64_t block_bytes() const { return code_bytes() + n_fours() * bytes_of_four(); }

  int64_t n_fours() const { return divide_up(n_linear, kBytesOfLane); }
  int64_t bytes_of_four() const { return int64_t{block_rows()} * kBytesOfLane; }  // of linear dims, in a block

  // Byte offset, within the codes, of the first four linear dims of row r.
  int64_t linear_offset(int64_t row) const {
    return row / block_rows() * block_bytes() + code_bytes() + row % block_rows() * kBytesOfLane;
  }

  // Byte offset, within the codes, of codebook c of row r.
  int64_t offset(int64_t row, int64_t codebook) const {
    const int64_t block = row / block_rows() * block_bytes(), within = row % block_rows();
    if (packing == Packing::kFourRows) {
      return block + codebook * vector_bytes() + kBytesOfLane * (within % lanes) + within / lanes;
    }
    return block + codebook / kBytesOfLane * vector_bytes() + kBytesOfLane * within + codebook % kBytesOfLane;
  }

  // What a byte of codebook c is more than its code.
  int code_bias(int64_t codebook) const {
    return packing == Packing::kFourRows ? 0 : kFourthEntries * static_cast<int>(codebook % kBytesOfLane);
  }

  // The bits of a byte that are the code.
  uint8_t code_mask() const { return packing == Packing::kFourRows ? 0xff : kFourthEntries - 1; }
};

}  // namespace mithral::codegen
