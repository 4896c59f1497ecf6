#include "codegen/lower.h"

namespace mithral::codegen {

LoweredModel lower(const Model& model, const Schedule& schedule, const Target& target) {
  check_schedule(schedule, model, target);
  const TreeStructure trees = analyse_trees(model);
  return {.target = target,
          .schedule = schedule,
          .columns = trees.columns,
          .programs = {lower_stage_rows(trees, schedule, target), lower_encode(trees, schedule.codes, target),
                       lower_scan_to_rows(model, schedule, target), lower_scan_to_columns(model, schedule, target)}};
}

}  // namespace mithral::codegen
