#include "runtime/runner.h"

#include <array>

#include "codegen/model/error.h"
#include "codegen/program/interpret.h"
#include "jit/compiled_routines.h"
#include "runtime/host.h"
#include "runtime/on_first_use.h"
#include "runtime/options.h"

namespace mithral {
namespace {

// Runs programs, each made when a call first needs it.
class ProgramRunner : public Runner {
 public:
  explicit ProgramRunner(const codegen::LoweredModel& lowered) : lowered_(lowered) {}

  bool encodes(InputType type) const override { return lowered_.encoder->reads(type); }
  bool streams() const override { return true; }
  const std::vector<int32_t>& columns() const override { return lowered_.encoder->columns(); }
  const std::vector<int32_t>& staged_columns() const override { return lowered_.staged_columns; }
  const codegen::Schedule& schedule() const override { return lowered_.schedule; }
  const codegen::LookupTables& lookup_tables() const override { return lowered_.scan.lookup_tables; }
  const codegen::RowTables& row_tables() const override { return lowered_.scan.row_tables; }

 protected:
  const codegen::LoweredModel& lowered_;
};

class JitRunner : public ProgramRunner {
 public:
  JitRunner(const Model& model, const codegen::LoweredModel& lowered)
      : ProgramRunner(lowered),
        profiling_{.model = message("C", model.n_codebooks(), " K", model.n_entries(), " D", model.n_features(), " M",
                                    model.n_outputs()),
                   .perf_map = options().perf_map,
                   .jitdump_folder = options().jitdump_folder} {
    const uint8_t ret = 0xc3;
    const jit::CodeMemory probe(std::span(&ret, 1));  // where there may be none, compile() says so, not the first call
  }

  int64_t code_size() const override {
    size_t bytes = 0;
    for (const auto& routine : routines_) {
      if (const jit::CompiledRoutines* made = routine.if_made()) bytes += made->bytes().size();
    }
    return static_cast<int64_t>(bytes);
  }

 private:
  void run_routine(const codegen::RoutineId& id, const int64_t* arguments) const override {
    const auto compile = [&] {
      const codegen::Program program = codegen::lower_routine(id, lowered_);
      return std::make_unique<const jit::CompiledRoutines>(std::span(&program, 1), profiling_);
    };
    routines_[slot(id)].get(compile).function(0)(arguments);
  }

  jit::Profiling profiling_;
  mutable std::array<OnFirstUse<jit::CompiledRoutines>, codegen::kRoutineSlots> routines_;
};

class InterpreterRunner : public ProgramRunner {
 public:
  using ProgramRunner::ProgramRunner;

 private:
  void run_routine(const codegen::RoutineId& id, const int64_t* arguments) const override {
    const auto make = [&] {
      return std::make_unique<const codegen::Interpreter>(codegen::lower_routine(id, lowered_));
    };
    routines_[slot(id)].get(make).run(arguments);
  }

  mutable std::array<OnFirstUse<codegen::Interpreter>, codegen::kRoutineSlots> routines_;
};

}  // namespace

std::unique_ptr<const Runner> make_runner(Backend backend, const Model& model, const codegen::LoweredModel& lowered) {
  switch (backend) {
    case Backend::kJit: return std::make_unique<JitRunner>(model, lowered);
    case Backend::kGeneric: {
      const bool avx2 = runs_wherever(Isa::kAvx2, lowered.target.isa) && host_runs(Isa::kAvx2);
      return make_generic_runner(avx2 ? kGenericAvx2 : kGenericBaseline, model, lowered.activation);
    }
    case Backend::kInterpreter: return std::make_unique<InterpreterRunner>(lowered);
  }
  throw InternalError("unknown backend");
}

}  // namespace mithral
