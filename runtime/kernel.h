// Kernel: a model compiled for this CPU, ready to be called from any number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/model/activation.h"
#include "codegen/model/input_view.h"
#include "codegen/model/model.h"
#include "codegen/program/target.h"
#include "runtime/backend.h"

namespace mithral {

// How a kernel's schedule is chosen. None changes a result.
enum class Tune {
  kRules,    // by rules of the model and the CPU
  kMeasure,  // of several candidates, the one that is fastest on made-up rows: takes about 0.1 s beside compiling them
};

Tune tune_from_name(const std::string& name);  // "rules", "measure"; throws InvalidArgument that lists the names

struct CompileOptions {
  std::optional<Isa> isa =
      std::nullopt;  // none: this CPU's best; one that this CPU lacks: only program() and listing() work
  std::optional<Backend> backend = std::nullopt;  // none: MITHRAL_BACKEND, or the JIT
  std::optional<int64_t> threads = std::nullopt;  // 1 to 1024; none: MITHRAL_THREADS, or 1
  std::vector<float> bias = {};                   // (M), added to the model's offset; empty: none
  Activation activation = Activation::kNone;      // of float32 outputs, also where they are only compared
  Tune tune = Tune::kRules;                       // kMeasure: only for the JIT, with an ISA that this CPU runs
};

class Kernel {
 public:
  // y = activation(approximation of x B + bias), for x (N, D) and y (N, M) of any strides; N may be 0. x is a
  // MatrixView of float, int8_t, uint8_t, int16_t, Float16 or Bfloat16 (input_view.h), each as if converted to float.
  // Row-major and column-major x and y are read and written in place, without a copy. y may overlap x: the result is as
  // if it did not. Thread-safe. Nothing is allocated after the first call of a shape, but for a temporary where the
  // memory of x and y overlaps. With more threads, large calls are shared with idle workers of one process-wide pool,
  // at most (CPUs that this thread may use) - 1. Workers start when first needed, stay, keep their scratch, and are
  // started anew in the child of a fork. Where the model's codes come from the caller, x holds them, as in scan().
  // Throws InvalidArgument: a shape that does not fit the model, a y whose elements overlap one another;
  // UnsupportedTarget: code for an ISA that this CPU lacks, no executable memory. Then y is untouched.
  void operator()(InputView x, MatrixView<float> y) const;

  // y (N, M): the integer sums that float32 outputs are made of, float(y) * scale + offset with the model's scale and
  // offset, each step rounded to float32. Memory, overlap, threads and errors as above.
  void sums(InputView x, MatrixView<int32_t> y) const;

  // indices (N, 1): for each row the output that is largest in the float32 outputs, the first of several. No outputs
  // are written anywhere. Memory, overlap, threads and errors as above.
  void argmax(InputView x, MatrixView<int64_t> indices) const;

  // values and indices (N, k), k from 1 to min(kMaxTopK, M): of each row's float32 outputs the k largest, falling, and
  // which they are; of equal ones, -0 and +0 among them, the lower index first. Values and indices may not overlap.
  // Memory, overlap with x, threads and errors as above.
  static constexpr int64_t kMaxTopK = 64;
  void top_k(InputView x, MatrixView<float> values, MatrixView<int64_t> indices) const;

  // codes (N, C), row-major or any strides: the code of each row in each codebook. Outputs leave out what has no effect
  // on them; where that is something, the first call compiles an encoder of the whole model.
  void encode(InputView x, MatrixView<uint8_t> codes) const;

  // The same outputs, sums, indices and values from codes (N, C) of any strides, as encode() makes them or from
  // elsewhere, by the whole model's tables. Throws InvalidArgument for a code that is K or more: the message names row,
  // codebook and value, and nothing is written. Memory, overlap, threads and other errors as above.
  void scan(MatrixView<const uint8_t> codes, MatrixView<float> y) const;
  void scan_sums(MatrixView<const uint8_t> codes, MatrixView<int32_t> y) const;
  void scan_argmax(MatrixView<const uint8_t> codes, MatrixView<int64_t> indices) const;
  void scan_top_k(MatrixView<const uint8_t> codes, MatrixView<float> values, MatrixView<int64_t> indices) const;

  const Model& model() const;  // with the bias in its offset
  Activation activation() const;
  Isa isa() const;
  Backend backend() const;
  int64_t threads() const;
  int64_t code_size() const;   // bytes of machine code and its constants made so far; 0 for the other backends
  int64_t table_size() const;  // bytes of tables laid out so far, by this kernel or by others that share them

  std::string describe() const;  // what was chosen, what was refused and why, expected and measured times
  // Of the JIT's kernel, whatever the backend.
  std::string program() const;  // the vector operations of every routine that outputs take, as text
  std::string listing() const;  // the machine code, annotated with the operations it came from

 private:
  friend Kernel compile(const Model&, const CompileOptions&);
  struct Impl;
  explicit Kernel(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// Makes the model ready: what has no effect on outputs is left out, and schedules are chosen. Code is emitted and
// tables are laid out when a call first needs them. Kernels of models that share a LUT (with_bias) share its layouts.
// Throws InvalidArgument for options out of range; UnsupportedTarget where this CPU runs no ISA that code can be
// generated for and the backend is the JIT, or where the system forbids executable memory.
Kernel compile(const Model& model, const CompileOptions& options = {});

}  // namespace mithral
