// What this core can do at most, measured beside the kernels: bandwidths, and the operations that kernels consist of.
//
//     read/<bytes>, write/<bytes>      a buffer of that size, again and again, in the widest vectors
//     write_nt/<bytes>                 the same by stores that go around the caches
//     lookup_16/<isa>, lookup_64/<isa> byte shuffles of codes in L1, nothing else: the scan's
//     descend/<isa>                    comparisons of columns in L1 and the indices that follow: the encoder's
//
// Each gives its rate in the counter per_second: bytes, look-ups of a row in a codebook, levels of trees that a row
// goes down.
#pragma once

#include <string>

namespace mithral::bench {

// Registers them under `prefix`, for the best ISA that this CPU runs (bandwidths) and for every one (operations).
void register_limits(const std::string& prefix);

}  // namespace mithral::bench
