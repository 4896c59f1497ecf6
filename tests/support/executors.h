// Everything that executes a model on this machine: for every ISA emitted code, where the CPU has it, and the
// interpreter; the generic kernels in every build, of which Kernel has only that for this CPU.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codegen/lower.h"
#include "runtime/execute.h"
#include "runtime/generic/generic.h"
#include "runtime/host.h"

namespace mithral::testing {

class Executors {
 public:
  struct Entry {
    std::string name;
    std::unique_ptr<const Routines> routines;
    std::unique_ptr<const Executor> executor;
  };

  explicit Executors(const Model& given) : model_(given) {
    const Model& model = model_;
    lowered_.reserve(all_isas().size());  // executors keep references
    for (const Isa isa : all_isas()) {
      const Target target = target_for(isa);
      lowered_.push_back(codegen::lower(model, codegen::choose_schedule(model, target), target));
      const std::string name = isa_name(isa);
      if (host_runs(isa)) add("jit " + name, model, make_routines(Backend::kJit, model, lowered_.back()));
      add("interpreter " + name, model, make_routines(Backend::kInterpreter, model, lowered_.back()));
    }
    if (host_runs(Isa::kAvx2)) add("generic avx2", model, make_generic_routines(kGenericAvx2, model));
    add("generic baseline", model, make_generic_routines(kGenericBaseline, model));
  }
  Executors(const Executors&) = delete;
  Executors& operator=(const Executors&) = delete;

  const std::vector<Entry>& all() const { return entries_; }

 private:
  void add(const std::string& name, const Model& model, std::unique_ptr<const Routines> routines) {
    auto executor = std::make_unique<const Executor>(model, *routines);
    entries_.push_back({name, std::move(routines), std::move(executor)});
  }

  Model model_;                                 // as they keep references to it
  std::vector<codegen::LoweredModel> lowered_;  // by ISA
  std::vector<Entry> entries_;
};

}  // namespace mithral::testing
