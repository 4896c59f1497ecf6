// Everything that executes a model on this machine: for every ISA emitted code, where the CPU has it, and the
// interpreter; the generic kernels in every build, of which Kernel has only that for this CPU.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/lower.h"
#include "runtime/executable.h"
#include "runtime/execute.h"
#include "runtime/generic/generic.h"
#include "runtime/host.h"

namespace mithral::testing {

class Executors {
 public:
  struct Entry {
    std::string name;
    const Executor* executor;
  };

  explicit Executors(const Model& model, Activation activation = Activation::kNone) : activation_(activation) {
    for (const Isa isa : all_isas()) {
      const std::string name = isa_name(isa);
      if (host_runs(isa)) add("jit " + name, model, Backend::kJit, isa);
      add("interpreter " + name, model, Backend::kInterpreter, isa);
    }
    if (host_runs(Isa::kAvx2)) add("generic avx2", model, kGenericAvx2);
    add("generic baseline", model, kGenericBaseline);
  }
  Executors(const Executors&) = delete;
  Executors& operator=(const Executors&) = delete;

  const std::vector<Entry>& all() const { return entries_; }

 private:
  // A build of the generic kernels with what a call needs.
  struct Generic {
    Generic(const Model& model, const GenericBuild& build, Activation activation)
        : runner(make_generic_runner(build, model, activation)),
          tables(model, runner->lookup_tables(), runner->row_tables(),
                 std::make_shared<const LutLayouts>(model, runner->lookup_tables(), runner->row_tables())) {
      if (const Model* of_latents = model.linear().latents().get()) {
        latents = std::make_unique<const Generic>(*of_latents, build, Activation::kNone);
      }
      executor.emplace(*runner, tables, latents ? &*latents->executor : nullptr);
    }
    std::unique_ptr<const Runner> runner;
    TableLayouts tables;
    std::unique_ptr<const Generic> latents;
    std::optional<Executor> executor;
  };

  void add(const std::string& name, const Model& model, Backend backend, Isa isa) {
    const Target target = target_for(isa);
    executables_.push_back(std::make_unique<const Executable>(model, activation_, backend, target,
                                                              codegen::choose_schedule(model, target)));
    entries_.push_back({name, &executables_.back()->executor});
  }
  void add(const std::string& name, const Model& model, const GenericBuild& build) {
    generics_.push_back(std::make_unique<const Generic>(model, build, activation_));
    entries_.push_back({name, &*generics_.back()->executor});
  }

  Activation activation_;
  std::vector<std::unique_ptr<const Executable>> executables_;
  std::vector<std::unique_ptr<const Generic>> generics_;
  std::vector<Entry> entries_;
};

}  // namespace mithral::testing
