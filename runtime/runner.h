// What runs the routines of a kernel (codegen/program/routine.h): one class per backend.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "codegen/lower.h"
#include "codegen/model/model.h"
#include "runtime/backend.h"
#include "runtime/generic/generic.h"

namespace mithral {

// Immutable; run() may be called from many threads. Arguments are trusted.
class Runner {
 public:
  virtual ~Runner() = default;

  template <typename Arguments>
  void run(const codegen::RoutineId& id, const Arguments& arguments) const {
    ensure(codegen::takes<Arguments>(id.kind), "a routine is called with another one's arguments");
    run_routine(id, reinterpret_cast<const int64_t*>(&arguments));
  }

  // Whether a routine encodes columns of this type as they are.
  virtual bool encodes(InputType type) const = 0;

  // Whether there are routines that write past the caches.
  virtual bool streams() const = 0;

  // The input columns that the routines read, ascending: what offsets are about.
  virtual const std::vector<int32_t>& columns() const = 0;

  // The columns among them that are staged of row-major rows: what kStageRows writes.
  virtual const std::vector<int32_t>& staged_columns() const = 0;

  // How they are called: sizes of blocks, chunks, scratch.
  virtual const codegen::Schedule& schedule() const = 0;

  // How the tables lie that they are given.
  virtual const codegen::LookupTables& lookup_tables() const = 0;
  virtual const codegen::RowTables& row_tables() const = 0;

  // Bytes of machine code and its constants made so far.
  virtual int64_t code_size() const { return 0; }

 private:
  virtual void run_routine(const codegen::RoutineId& id, const int64_t* arguments) const = 0;
};

// `lowered` must outlive the result. Throws UnsupportedTarget where the JIT may have no executable memory. The generic
// kernels are the best build for this CPU that runs wherever code of the target of `lowered` does.
std::unique_ptr<const Runner> make_runner(Backend backend, const Model& model, const codegen::LoweredModel& lowered);

// The generic kernels in the build of one ISA, which the CPU must run (generic/generic_runner.cpp).
std::unique_ptr<const Runner> make_generic_runner(const GenericBuild& build, const Model& model,
                                                  Activation activation = Activation::kNone);

}  // namespace mithral
