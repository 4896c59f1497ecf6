// Everything that executes a model on this machine: emitted code, the interpreter, the generic kernels in every build.
// Kernel has the last only in the build for this CPU.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codegen/lower.h"
#include "runtime/execute.h"
#include "runtime/generic.h"
#include "runtime/host.h"

namespace mithral::testing {

class Executors {
 public:
  struct Entry {
    std::string name;
    std::unique_ptr<const Routines> routines;
    std::unique_ptr<const Executor> executor;
  };

  explicit Executors(const Model& model)
      : lowered_(codegen::lower(model, codegen::choose_schedule(model, target()), target())) {
    const bool runs = host_runs(target().isa);
    if (runs) add("jit", model, make_routines(Backend::kJit, model, lowered_));
    add("interpreter", model, make_routines(Backend::kInterpreter, model, lowered_));
    if (runs) add("generic avx2", model, make_generic_routines(kGenericAvx2, model, lowered_));
    add("generic baseline", model, make_generic_routines(kGenericBaseline, model, lowered_));
  }
  Executors(const Executors&) = delete;
  Executors& operator=(const Executors&) = delete;

  const std::vector<Entry>& all() const { return entries_; }
  const codegen::LoweredModel& lowered() const { return lowered_; }

 private:
  static Target target() { return target_for(Isa::kAvx2); }
  void add(const char* name, const Model& model, std::unique_ptr<const Routines> routines) {
    auto executor = std::make_unique<const Executor>(model, lowered_, *routines);
    entries_.push_back({name, std::move(routines), std::move(executor)});
  }

  codegen::LoweredModel lowered_;
  std::vector<Entry> entries_;
};

}  // namespace mithral::testing
