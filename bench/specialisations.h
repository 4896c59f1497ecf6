// What each specialisation buys: calls of emitted code with it, and with it switched off.
//
//     specialisation/<name>/<N x D x M>/C16/<order>/<isa>/with, .../without
//
// Both return the same bytes, but for shared-columns, which compares two models. "everything" compares emitted code
// with the generic kernels.
#pragma once

namespace mithral::bench {

// Registers them for the best ISA that this CPU runs and for AVX2, where they apply.
void register_specialisations();

}  // namespace mithral::bench
