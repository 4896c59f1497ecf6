// Codes, and rows with their codes: what tables are fitted from, whichever encoder made the codes.
#pragma once

#include "train/matrix.h"

namespace mithral::train_internal {

// (n, C), one codebook contiguous; each code below K, the entries of a codebook's table: any number from 2 to 256.
using Codes = Eigen::Matrix<uint8_t, Eigen::Dynamic, Eigen::Dynamic>;

struct CodedRows {
  RowsF rows;   // (n, D), borrowed
  Codes codes;  // (n, C)
};

}  // namespace mithral::train_internal
