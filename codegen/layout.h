// Where things are in memory between the routines of a kernel.
//
// Codes: blocks of `block_rows` rows (4 rows for every 32-bit lane of a vector), all codebooks of a block together:
//
//     codes:  | block 0                                    | block 1 ...
//             | codebook 0      | codebook 1      | ...    |
//             | one vector      | one vector      |        |
//
//     one vector, W lanes:   byte     0    1     2     3      4    5 ...
//                            row      0    W    2W    3W      1   W+1 ...      (rows of the block)
//                            lane     |------- 0 -------|   |-- 1 --
//
// so that shifting and masking lanes yields W consecutive rows at a time, on every vector length alike, and no
// instruction has to cross lanes. Row r of a block is byte 4*(r mod W) + r div W.
//
// Staged columns: the columns that the trees read, copied out of row-major (or any other) input:
//
//     staged[u * staged_rows + r] = x[r][columns[u]]         float32, u = 0 .. columns-1, r = 0 .. staged_rows-1
#pragma once

#include <cstdint>

#include "codegen/target.h"

namespace mithral::codegen {

// Byte offset, within the codes, of codebook c of row r.
inline int64_t code_offset(int64_t row, int64_t codebook, int64_t n_codebooks, const Target& target) {
  const int64_t block = row / target.block_rows();
  const int64_t within = row % target.block_rows();
  return (block * n_codebooks + codebook) * target.vector_bytes + 4 * (within % target.lanes()) +
         within / target.lanes();
}

}  // namespace mithral::codegen
