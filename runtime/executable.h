// A model made ready to be called, just as it is given: nothing in it is left out, and nothing is made yet that a call
// may not need.
#pragma once

#include <memory>

#include "codegen/lower.h"
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
        executor(*runner, tables) {}
  Executable(const Model& m, Activation activation, Backend backend, const Target& target,
             const codegen::Schedule& schedule)
      : Executable(m, codegen::lower(m, schedule, target, activation), backend) {}
  Executable(const Executable&) = delete;
  Executable& operator=(const Executable&) = delete;

  Model model;
  codegen::LoweredModel lowered;         // runners keep a reference
  std::unique_ptr<const Runner> runner;  // executors keep one to this, and to the tables
  TableLayouts tables;
  Executor executor;

 private:
  std::shared_ptr<const LutLayouts> layouts(const SharedModel* shared) const {
    const codegen::LookupTables& lookup = runner->lookup_tables();
    const codegen::RowTables& rows = runner->row_tables();
    return shared != nullptr ? shared->layouts(model, lookup, rows)
                             : std::make_shared<const LutLayouts>(model, lookup, rows);
  }
};

}  // namespace mithral
