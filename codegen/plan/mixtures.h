// Which numbers of codebooks, linear dims and latents a call has time for: what training chooses among.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "codegen/model/mixture.h"
#include "codegen/plan/estimate.h"
#include "codegen/program/target.h"

namespace mithral {

// Mixtures whose calls take as long, by the cost model, as those of `budget` codebooks of this depth alone, which are
// the first of them; the others have fewer codebooks, down to none, and as many linear dims as there is time for: of
// row-major rows in whole cache lines, if they are not few; or, of many outputs, as many latents as there is time for,
// of fewer linear dims or of more. `trees` are those codebooks, once they are known: trained on correlated columns they
// read a third of what is expected. Throws InvalidArgument for a size that no model has.
std::vector<Mixture> mixtures_within(int64_t budget, int64_t n_features, int64_t n_outputs, int64_t depth,
                                     const Target& target, InputOrder order,
                                     const std::optional<TreesRead>& trees = std::nullopt);

// How many linear dims latents are made of: as many as take about as long as all outputs do of the latents and of
// `n_linear` other dims, all if there is time for them; at least twice as many as latents, which fewer would not span.
int64_t dims_of_latents(int64_t n_features, int64_t n_outputs, int64_t n_latents, int64_t n_linear,
                        const Target& target, InputOrder order);

}  // namespace mithral
