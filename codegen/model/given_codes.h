// An encoder that does nothing: codes come from the caller, (N, C) uint8, each below K. So they may be anything that
// has tables: another quantiser's codes, categories, table rows.
#pragma once

#include <cstdint>

namespace mithral {

struct GivenCodes {
  int64_t n_codebooks = 0;  // C
  int64_t n_entries = 0;    // K
};

}  // namespace mithral
