#include "train/objective.h"

#include "codegen/model/error.h"

namespace mithral::train_internal {
namespace {

constexpr Objective kObjectives[] = {
    {.name = "mse", .trees_for_outputs = true, .fits_classes = false},
    {.name = "argmax", .trees_for_outputs = true, .fits_classes = true},
    {.name = "reconstruction", .trees_for_outputs = false, .fits_classes = false},
};

}  // namespace

const Objective& find_objective(const std::string& name) {
  std::string allowed;
  for (const Objective& objective : kObjectives) {
    if (name == objective.name) return objective;
    allowed += message(allowed.empty() ? "" : ", ", '"', objective.name, '"');
  }
  throw InvalidArgument(message("objective is \"", name, "\"; allowed: ", allowed));
}

}  // namespace mithral::train_internal
