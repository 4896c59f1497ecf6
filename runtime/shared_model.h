// What kernels of one model share, whatever their biases, schedules and threads: the model without what has no effect,
// and the layouts of its LUT.
#pragma once

#include <memory>
#include <vector>

#include "codegen/model/model.h"
#include "runtime/table_layouts.h"

namespace mithral {

class SharedModel {
 public:
  // The one of all models that share trees, LUT and linear dims with this one, as long as any kernel holds it.
  // Thread-safe.
  static std::shared_ptr<const SharedModel> of(const Model& given);
  ~SharedModel();
  SharedModel(const SharedModel&) = delete;
  SharedModel& operator=(const SharedModel&) = delete;

  // simplify_model of a model that shares this.
  Model simplified(const Model& given) const;

  // The layouts of a LUT and weights: those of the model or of the simplified one.
  std::shared_ptr<const LutLayouts> layouts(const Model& model, const codegen::LookupTables& lookup,
                                            const codegen::RowTables& rows) const;

 private:
  explicit SharedModel(const Model& given);

  Model given_, simplified_;
  mutable std::vector<std::weak_ptr<const LutLayouts>> layouts_;  // under the process's lock
};

}  // namespace mithral
