#include "runtime/kernel.h"

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "codegen/error.h"
#include "codegen/lower.h"
#include "jit/emit.h"
#include "runtime/dump.h"
#include "runtime/execute.h"
#include "runtime/host.h"
#include "runtime/options.h"
#include "runtime/routines.h"

namespace mithral {
namespace {

constexpr const char* kBackendNames[] = {"jit", "generic", "interpreter"};

// Rows below which a thread costs more than it brings.
constexpr int64_t kMinRowsPerThread = 1024;

void check_shapes(const Model& model, InputView x, int64_t out_rows, int64_t out_cols, int64_t expected_cols) {
  if (x.rows < 0 || x.cols != model.n_features()) {
    throw InvalidArgument(message("X has shape (", x.rows, ", ", x.cols, "); expected (N, ", model.n_features(), ")"));
  }
  if (out_rows != x.rows || out_cols != expected_cols) {
    throw InvalidArgument(
        message("out has shape (", out_rows, ", ", out_cols, "); expected (", x.rows, ", ", expected_cols, ")"));
  }
}

struct Extent {
  uintptr_t begin = 0;
  uintptr_t end = 0;
};

template <typename T>
Extent extent(MatrixView<T> v) {
  if (v.rows == 0 || v.cols == 0) return {};
  const int64_t down = (v.rows - 1) * v.row_stride, right = (v.cols - 1) * v.col_stride;
  const auto at = [&v](int64_t offset) { return reinterpret_cast<uintptr_t>(v.data) + offset * sizeof(T); };
  return {at(std::min<int64_t>(down, 0) + std::min<int64_t>(right, 0)),
          at(std::max<int64_t>(down, 0) + std::max<int64_t>(right, 0)) + sizeof(T)};
}
Extent extent(InputView v) {
  return v.visit([](auto view) { return extent(view); });
}

bool overlap(const Extent& a, const Extent& b) { return a.begin < b.end && b.begin < a.end; }

// Two elements of y at one address would leave the result to chance.
template <typename T>
void check_own_overlap(MatrixView<T> y) {
  struct Axis {
    int64_t count, stride;
  };
  Axis inner{y.rows, std::abs(y.row_stride)}, outer{y.cols, std::abs(y.col_stride)};
  if (inner.count == 0 || outer.count == 0) return;
  if (inner.stride > outer.stride) std::swap(inner, outer);
  const int64_t reach = inner.count == 1 ? 1 : (inner.count - 1) * inner.stride + 1;
  if ((inner.count > 1 && inner.stride == 0) || (outer.count > 1 && outer.stride < reach)) {
    throw InvalidArgument(message("out has elements that share memory: shape (", y.rows, ", ", y.cols,
                                  ") with strides (", y.row_stride, ", ", y.col_stride,
                                  ") elements; every element needs its own place"));
  }
}

Isa choose_isa(const CompileOptions& wanted, Backend backend) {
  if (wanted.isa) return *wanted.isa;
  if (const std::optional<Isa> best = best_isa()) return *best;
  if (backend != Backend::kJit) return all_isas().front();  // their programs and layouts run on any CPU
  throw UnsupportedTarget(message("no code can be generated for this CPU (", host().brand, "); it needs ",
                                  isa_name(all_isas().front()),
                                  "; backend \"generic\" or \"interpreter\" runs anywhere"));
}

int64_t choose_threads(const CompileOptions& wanted) {
  const int64_t threads = wanted.threads.value_or(options().threads.value_or(1));
  if (threads < 1 || threads > kMaxThreads) {
    throw InvalidArgument(message("threads is ", threads, "; allowed: 1 to ", kMaxThreads));
  }
  return threads;
}

}  // namespace

const char* backend_name(Backend backend) { return kBackendNames[static_cast<size_t>(backend)]; }

Backend backend_from_name(const std::string& name) {
  std::string names;
  for (size_t i = 0; i < std::size(kBackendNames); ++i) {
    if (name == kBackendNames[i]) return static_cast<Backend>(i);
    names += (i == 0 ? "" : ", ") + std::string(kBackendNames[i]);
  }
  throw InvalidArgument(message("unknown backend '", name, "'; allowed: ", names));
}

struct Kernel::Impl {
  Impl(const Model& m, Backend b, Isa isa, int64_t n_threads)
      : model(m),
        backend(b),
        threads(n_threads),
        lowered(lower_for(m, isa)),
        routines(make_routines(b, m, lowered)),
        executor(m, *routines) {
    if (options().check) checker.emplace(m, lowered);
  }

  static codegen::LoweredModel lower_for(const Model& model, Isa isa) {
    const Target target = host_target(isa);
    return codegen::lower(model, codegen::choose_schedule(model, target), target);
  }

  void require_runnable() const {
    if (backend == Backend::kJit && !host_runs(lowered.target.isa)) {
      throw UnsupportedTarget(message("this kernel is ", isa_name(lowered.target.isa), " code; this CPU (",
                                      host().brand, ") cannot run it; program() and listing() work"));
    }
  }

  // y does not overlap x.
  void run(InputView x, MatrixView<float> y) const {
    run_rows(x, y);
    if (checker) checker->compare(x, y, *this);
  }

  void run_rows(InputView x, MatrixView<float> y) const;
  template <typename ToText>
  std::string text_of_routines(ToText&& to_text) const;
  std::string program() const;
  std::string listing() const;

  // MITHRAL_CHECK: the interpreter beside whatever runs.
  struct Checker {
    Checker(const Model& model, const codegen::LoweredModel& lowered)
        : routines(make_routines(Backend::kInterpreter, model, lowered)), executor(model, *routines) {}
    void compare(InputView x, MatrixView<float> y, const Impl& kernel) const;

    std::unique_ptr<const Routines> routines;
    Executor executor;
  };

  Model model;
  Backend backend;
  int64_t threads;
  codegen::LoweredModel lowered;
  std::unique_ptr<const Routines> routines;
  Executor executor;
  std::optional<Checker> checker;
};

// Every thread takes a run of whole blocks. Rows do not depend on one another, so the result does not depend on the
// cut.
void Kernel::Impl::run_rows(InputView x, MatrixView<float> y) const {
  const int64_t parts = std::clamp<int64_t>(x.rows / kMinRowsPerThread, 1, threads);
  if (parts == 1) return executor.run(x, y);

  const int64_t block_rows = routines->schedule().codes.block_rows();
  const int64_t rows_each = (x.rows / parts + block_rows - 1) / block_rows * block_rows;
  std::vector<std::thread> workers;
  workers.reserve(parts - 1);
  std::vector<std::exception_ptr> failures(parts);
  const auto run_part = [&](int64_t part) {
    const int64_t first = std::min(part * rows_each, x.rows);
    const int64_t count = part == parts - 1 ? x.rows - first : std::min(rows_each, x.rows - first);
    try {
      executor.run(x.row_range(first, count), y.row_range(first, count));
    } catch (...) {
      failures[part] = std::current_exception();
    }
  };
  int64_t started = 1;
  try {
    for (; started < parts; ++started) workers.emplace_back(run_part, started);
  } catch (...) {
    // No more threads, or no memory for one: the caller's takes over what is left.
  }
  run_part(0);
  for (; started < parts; ++started) run_part(started);
  for (std::thread& worker : workers) worker.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

void Kernel::Impl::Checker::compare(InputView x, MatrixView<float> y, const Impl& kernel) const {
  constexpr int64_t kCheckedRows = 64;
  const int64_t rows = std::min(x.rows, kCheckedRows);
  std::vector<float> expected(rows * y.cols);
  executor.run(x.row_range(0, rows), row_major(expected.data(), rows, y.cols));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t m = 0; m < y.cols; ++m) {
      const float want = expected[row * y.cols + m], got = y(row, m);
      if (std::memcmp(&want, &got, sizeof want) == 0) continue;
      throw InternalError(message("MITHRAL_CHECK: row ", row, ", output ", m, ": ", backend_name(kernel.backend),
                                  " gives ", got, ", the interpreter ", want, "\n", kernel.program(),
                                  kernel.listing()));
    }
  }
}

template <typename ToText>
std::string Kernel::Impl::text_of_routines(ToText&& to_text) const {
  std::string text;
  for (const codegen::Program& program : codegen::lower_routines(model, lowered)) text += to_text(program) + "\n";
  return text;
}

std::string Kernel::Impl::program() const {
  return text_of_routines([](const codegen::Program& program) { return codegen::print(program); });
}

std::string Kernel::Impl::listing() const {
  return text_of_routines([](const codegen::Program& program) { return jit::listing(program); });
}

void Kernel::operator()(InputView x, MatrixView<float> y) const {
  check_shapes(model(), x, y.rows, y.cols, model().n_outputs());
  check_own_overlap(y);
  impl_->require_runnable();
  if (x.rows == 0) return;
  if (!overlap(extent(x), extent(y))) return impl_->run(x, y);

  std::vector<float> temporary(y.rows * y.cols);
  const MatrixView<float> result = row_major(temporary.data(), y.rows, y.cols);
  impl_->run(x, result);
  for (int64_t row = 0; row < y.rows; ++row) {
    for (int64_t m = 0; m < y.cols; ++m) y(row, m) = result(row, m);
  }
}

void Kernel::encode(InputView x, MatrixView<uint8_t> codes) const {
  check_shapes(model(), x, codes.rows, codes.cols, model().n_codebooks());
  check_own_overlap(codes);
  impl_->require_runnable();
  if (overlap(extent(x), extent(codes))) {
    throw InvalidArgument("codes overlap X in memory; they need memory of their own");
  }
  impl_->executor.encode(x, codes);
}

const Model& Kernel::model() const { return impl_->model; }
Isa Kernel::isa() const { return impl_->lowered.target.isa; }
Backend Kernel::backend() const { return impl_->backend; }
int64_t Kernel::threads() const { return impl_->threads; }
int64_t Kernel::code_size() const { return impl_->routines->code_size(); }
std::string Kernel::program() const { return impl_->program(); }
std::string Kernel::listing() const { return impl_->listing(); }

Kernel compile(const Model& model, const CompileOptions& wanted) {
  const Backend backend = wanted.backend.value_or(options().backend.value_or(Backend::kJit));
  const int64_t threads = choose_threads(wanted);
  Kernel kernel(std::make_shared<const Kernel::Impl>(model, backend, choose_isa(wanted, backend), threads));
  if (options().dump_folder) dump_kernel(*options().dump_folder, kernel, kernel.impl_->routines->code());
  return kernel;
}

}  // namespace mithral
