// The routines of a kernel (codegen/lower.h) as something to call, whoever executes them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "codegen/lower.h"
#include "codegen/model/model.h"
#include "runtime/generic/generic.h"
#include "runtime/kernel.h"

namespace mithral {

// Immutable; run() may be called from many threads. Arguments are trusted.
class Routines {
 public:
  virtual ~Routines() = default;
  virtual void run(codegen::Routine routine, const int64_t* args) const = 0;

  // Whether there is a routine that encodes columns of this type; of float32 there always is.
  virtual bool encodes(InputType) const { return true; }

  // Whether there are routines that write past the caches.
  virtual bool streams() const { return true; }

  // The input columns that the routines read, ascending: what staged columns and offsets are about.
  virtual const std::vector<int32_t>& columns() const = 0;

  // How they are called: sizes of blocks, chunks, scratch.
  virtual const codegen::Schedule& schedule() const = 0;

  // Machine code and constants of the first routines, if that is what runs; bytes of all that was made so far.
  virtual std::span<const uint8_t> code() const { return {}; }
  virtual int64_t code_size() const { return 0; }
};

// `model` and `lowered` must outlive the result. The generic kernels are the best build for this CPU that runs
// wherever code of the ISA of `lowered` does.
std::unique_ptr<const Routines> make_routines(Backend backend, const Model& model,
                                              const codegen::LoweredModel& lowered);

// The generic kernels in the build of one ISA, which the CPU must run.
std::unique_ptr<const Routines> make_generic_routines(const GenericRoutines& build, const Model& model,
                                                      Activation activation = Activation::kNone);

}  // namespace mithral
