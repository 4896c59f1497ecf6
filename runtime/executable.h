// A model made ready to be called, just as it is given: nothing in it is left out, and nothing is made yet that a call
// may not need.
#pragma once

#include <memory>

#include "codegen/lower.h"
#include "codegen/plan/schedule.h"
#include "runtime/execute.h"
#include "runtime/runner.h"
#include "runtime/shared_model.h"
#include "runtime/table_layouts.h"

namespace mithral {

struct Executable {
  // `shared` is that of the model, or of the one that it was simplified from; none: it shares nothing.
  Executable(const Model& m, codegen::LoweredModel low, Backend backend, const SharedModel* shared = nullptr)
      : model(m),
        lowered(std::move(low)),
        runner(make_runner(backend, model, lowered)),
        tables(model, runner->lookup_tables(), runner->row_tables(), layouts(shared)),
        shared_latents(model.linear().latents() ? SharedModel::of(*model.linear().latents()) : nullptr),
        latents(executable_of_latents(backend)),
        executor(*runner, tables, latents ? &latents->executor : nullptr) {}
  Executable(const Model& m, Activation activation, Backend backend, const Target& target,
             const codegen::Schedule& schedule)
      : Executable(m, codegen::lower(m, schedule, target, activation), backend) {}
  Executable(const Executable&) = delete;
  Executable& operator=(const Executable&) = delete;

  Model model;
  codegen::LoweredModel lowered;         // runners keep a reference
  std::unique_ptr<const Runner> runner;  // executors keep one to this, to the tables, and to that of the latents
  TableLayouts tables;
  std::shared_ptr<const SharedModel> shared_latents;
  std::unique_ptr<const Executable> latents;  // none: the model has none
  Executor executor;

 private:
  std::unique_ptr<const Executable> executable_of_latents(Backend backend) const {
    if (!shared_latents) return nullptr;
    const Model simplified = shared_latents->simplified(*model.linear().latents());
    const codegen::Schedule schedule = codegen::choose_schedule(simplified, lowered.target);
    return std::make_unique<const Executable>(simplified, codegen::lower(simplified, schedule, lowered.target), backend,
                                              shared_latents.get());
  }

  std::shared_ptr<const LutLayouts> layouts(const SharedModel* shared) const {
    const codegen::LookupTables& lookup = runner->lookup_tables();
    const codegen::RowTables& rows = runner->row_tables();
    return shared != nullptr ? shared->layouts(model, lookup, rows)
                             : std::make_shared<const LutLayouts>(model, lookup, rows);
  }
};

}  // namespace mithral
