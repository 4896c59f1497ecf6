// Codes that the caller gives, checked before anything is made of them.
#pragma once

#include "codegen/model/matrix_view.h"

namespace mithral {

// Throws InvalidArgument that names the first code, row by row, that is n_entries or more. Reads all of them, fast.
void check_given_codes(MatrixView<const uint8_t> codes, int64_t n_entries);

}  // namespace mithral
