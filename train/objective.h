// What a model can be trained for.
#pragma once

#include <string>

namespace mithral::train_internal {

struct Objective {
  const char* name;
  bool trees_for_outputs;  // trees are grown for the outputs; else each for columns of its own (subspace_trees.h)
  bool fits_classes;       // tables are fitted to class probabilities (class_probabilities.h); else to the outputs
};

// Throws InvalidArgument for an unknown name, with the list of the known ones.
const Objective& find_objective(const std::string& name);

}  // namespace mithral::train_internal
