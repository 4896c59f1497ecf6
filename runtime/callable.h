// A model ready to be called, just as it is given.
#pragma once

#include <memory>

#include "codegen/lower.h"
#include "runtime/execute.h"
#include "runtime/routines.h"

namespace mithral {

struct Callable {
  Callable(const Model& m, Activation activation, Backend backend, const Target& target,
           const codegen::Schedule& schedule)
      : model(m),
        lowered(codegen::lower(model, schedule, target, activation)),
        routines(make_routines(backend, model, lowered)),  // they keep references: to this copy
        executor(model, *routines) {}
  Callable(const Callable&) = delete;
  Callable& operator=(const Callable&) = delete;

  Model model;
  codegen::LoweredModel lowered;
  std::unique_ptr<const Routines> routines;
  Executor executor;
};

}  // namespace mithral
