#include "runtime/kernel.h"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <vector>

#include "codegen/model/error.h"
#include "codegen/model/multiples.h"
#include "codegen/plan/estimate.h"
#include "codegen/simplify_model.h"
#include "jit/emit.h"
#include "runtime/callable.h"
#include "runtime/describe.h"
#include "runtime/destination.h"
#include "runtime/dump.h"
#include "runtime/host.h"
#include "runtime/on_first_use.h"
#include "runtime/options.h"
#include "runtime/thread_pool.h"
#include "runtime/top_k.h"
#include "runtime/tune.h"

namespace mithral {
namespace {

constexpr const char* kBackendNames[] = {"jit", "generic", "interpreter"};

// Work, as the cost model counts it, below which a second thread costs more than it brings: waking one takes 30 to 70
// microseconds.
constexpr double kMinSecondsPerThread = 80e-6;

// So that a worker that comes late, or whose CPU is busy, leaves little to wait for.
constexpr int64_t kPartsPerThread = 4;

// Seconds of a row by the cost model, without what a call costs once.
struct RowSeconds {
  double row_major = 0;
  double column_major = 0;
};

RowSeconds estimate_rows(const Model& model, const Target& target) {
  constexpr int64_t kRows = 1 << 20;
  const ModelShape shape = shape_of(model);
  const auto seconds = [&](InputOrder order) {
    return (estimate(shape, kRows, target, order).kernel - estimate(shape, 0, target, order).kernel) / kRows;
  };
  return {seconds(InputOrder::kRowMajor), seconds(InputOrder::kColumnMajor)};
}

void check_shapes(const Model& model, InputView x, int64_t out_rows, int64_t out_cols, int64_t expected_cols) {
  if (x.rows < 0 || x.cols != model.n_features()) {
    throw InvalidArgument(message("X has shape (", x.rows, ", ", x.cols, "); expected (N, ", model.n_features(), ")"));
  }
  if (out_rows != x.rows || out_cols != expected_cols) {
    throw InvalidArgument(
        message("out has shape (", out_rows, ", ", out_cols, "); expected (", x.rows, ", ", expected_cols, ")"));
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

Tune tune_from_name(const std::string& name) {
  if (name == "rules") return Tune::kRules;
  if (name == "measure") return Tune::kMeasure;
  throw InvalidArgument(message("unknown tune '", name, "'; allowed: rules, measure"));
}

struct Kernel::Impl {
  Impl(const Model& given, Activation activation, Backend b, Isa isa, int64_t n_threads, Tune tune)
      : Impl(given, codegen::simplify_model(given), activation, b, host_target(isa), n_threads, tune) {}

  Impl(const Model& given, const Model& simple, Activation activation, Backend b, const Target& target,
       int64_t n_threads, Tune tune)
      : model(given),
        backend(b),
        threads(n_threads),
        tuning(tune == Tune::kMeasure ? measure_schedules(simple, target, activation) : std::optional<Tuning>()),
        simplified(simple, activation, b, target,
                   tuning ? tuning->schedule() : codegen::choose_schedule(simple, target)) {
    if (threads > 1) row_seconds = estimate_rows(simplified.model, target);
    if (options().check) checker.emplace(model, activation, target);
  }

  Isa isa() const { return simplified.lowered.target.isa; }

  // Of all codes. The simplified model may have fewer; then the given one is made ready when codes are first asked for.
  const Callable& encoder() const {
    const bool is_given = &simplified.model.arrays() == &model.arrays();
    return is_given ? simplified : encoder_of_given.get([this] {
      const Target& target = simplified.lowered.target;
      return std::make_unique<const Callable>(model, simplified.lowered.activation, backend, target,
                                              codegen::choose_schedule(model, target));
    });
  }

  int64_t code_size() const {
    const Callable* encoder = encoder_of_given.if_made();
    return simplified.routines->code_size() + (encoder == nullptr ? 0 : encoder->routines->code_size());
  }

  void require_runnable() const {
    if (backend == Backend::kJit && !host_runs(isa())) {
      throw UnsupportedTarget(message("this kernel is ", isa_name(isa()), " code; this CPU (", host().brand,
                                      ") cannot run it; program() and listing() work"));
    }
  }

  // One call: `compute(executor, x, y...)` for all rows. Checks everything but the shapes of y.
  template <typename Compute, typename... T>
  void run(Compute&& compute, InputView x, MatrixView<T>... y) const {
    (check_own_overlap(y), ...);
    require_runnable();
    if (x.rows == 0) return;
    std::tuple<Destination<T>...> destinations(Destination<T>(y, overlap(extent(x), extent(y)))...);
    std::apply([&](const auto&... destination) { run_apart(compute, x, destination.view()...); }, destinations);
    std::apply([](const auto&... destination) { (destination.copy_back(), ...); }, destinations);
  }

  // No y overlaps x.
  template <typename Compute, typename... T>
  void run_apart(Compute&& compute, InputView x, MatrixView<T>... y) const {
    run_rows(x, [&](int64_t first, int64_t count) {
      compute(simplified.executor, x.row_range(first, count), y.row_range(first, count)...);
    });
    if (checker) checker->compare(compute, *this, x, y...);
  }

  template <typename RunPart>
  void run_rows(InputView x, RunPart&& run_part) const;
  template <typename ToText>
  std::string text_of_routines(ToText&& to_text) const;
  int64_t useful_threads(InputView x) const;
  std::string program() const;
  std::string listing() const;

  // MITHRAL_CHECK: the interpreter, of the model as given, beside whatever runs.
  struct Checker {
    Checker(const Model& model, Activation activation, const Target& target)
        : interpreter(model, activation, Backend::kInterpreter, target, codegen::choose_schedule(model, target)) {}
    template <typename Compute, typename... T>
    void compare(Compute&& compute, const Impl& kernel, InputView x, MatrixView<T>... y) const;
    template <typename T>
    static void expect_equal(MatrixView<T> want, MatrixView<T> got, const Impl& kernel);

    Callable interpreter;
  };

  Model model;
  Backend backend;
  int64_t threads;
  std::optional<Tuning> tuning;  // of the simplified model, if it was measured
  Callable simplified;
  mutable OnFirstUse<Callable> encoder_of_given;
  RowSeconds row_seconds;  // if there are several threads
  std::optional<Checker> checker;
};

// Threads take parts of whole blocks. Rows do not depend on one another, so the result does not depend on the cut.
template <typename RunPart>
void Kernel::Impl::run_rows(InputView x, RunPart&& run_part) const {
  const int64_t n_threads = useful_threads(x);
  if (n_threads == 1) return run_part(0, x.rows);

  const int64_t block_rows = simplified.routines->schedule().codes.block_rows();
  const int64_t part_rows = divide_up(x.rows, n_threads * kPartsPerThread * block_rows) * block_rows;
  const auto run_one = [&](int64_t part) {
    const int64_t first = part * part_rows;
    run_part(first, std::min(part_rows, x.rows - first));
  };
  run_parts(divide_up(x.rows, part_rows), n_threads, PartFunction(run_one));
}

int64_t Kernel::Impl::useful_threads(InputView x) const {
  if (threads == 1) return 1;
  const double seconds =
      static_cast<double>(x.rows) * (x.row_stride == 1 ? row_seconds.column_major : row_seconds.row_major);
  return static_cast<int64_t>(std::clamp(seconds / kMinSecondsPerThread, 1.0, static_cast<double>(threads)));
}

template <typename T>
void Kernel::Impl::Checker::expect_equal(MatrixView<T> want, MatrixView<T> got, const Impl& kernel) {
  for (int64_t row = 0; row < want.rows; ++row) {
    for (int64_t m = 0; m < want.cols; ++m) {
      if (std::memcmp(&want(row, m), &got(row, m), sizeof(T)) == 0) continue;
      throw InternalError(message("MITHRAL_CHECK: row ", row, ", output ", m, ": ", backend_name(kernel.backend),
                                  " gives ", got(row, m), ", the interpreter ", want(row, m), "\n", kernel.program(),
                                  kernel.listing()));
    }
  }
}

template <typename Compute, typename... T>
void Kernel::Impl::Checker::compare(Compute&& compute, const Impl& kernel, InputView x, MatrixView<T>... y) const {
  constexpr int64_t kCheckedRows = 64;
  const int64_t rows = std::min(x.rows, kCheckedRows);
  const std::tuple<Destination<T>...> expected(Destination<T>(y.row_range(0, rows), true)...);
  std::apply([&](const auto&... want) { compute(interpreter.executor, x.row_range(0, rows), want.view()...); },
             expected);
  std::apply([&](const auto&... want) { (expect_equal(want.view(), y, kernel), ...); }, expected);
}

template <typename ToText>
std::string Kernel::Impl::text_of_routines(ToText&& to_text) const {
  std::string text;
  for (const codegen::Program& program : codegen::lower_routines(simplified.model, simplified.lowered)) {
    text += to_text(program) + "\n";
  }
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
  impl_->run([&](const Executor& executor, auto rows, auto outputs) { executor.run(rows, outputs, x.rows); }, x, y);
}

void Kernel::sums(InputView x, MatrixView<int32_t> y) const {
  check_shapes(model(), x, y.rows, y.cols, model().n_outputs());
  impl_->run([](const Executor& executor, auto rows, auto outputs) { executor.sums(rows, outputs); }, x, y);
}

void Kernel::argmax(InputView x, MatrixView<int64_t> indices) const {
  check_shapes(model(), x, indices.rows, indices.cols, 1);
  impl_->run([](const Executor& executor, auto rows, auto best) { executor.argmax(rows, best); }, x, indices);
}

void Kernel::top_k(InputView x, MatrixView<float> values, MatrixView<int64_t> indices) const {
  static_assert(kMaxTopK == TopK::kMax);
  check_range("k", values.cols, 1, std::min(kMaxTopK, model().n_outputs()));
  check_shapes(model(), x, values.rows, values.cols, values.cols);
  check_shapes(model(), x, indices.rows, indices.cols, values.cols);
  if (overlap(extent(values), extent(indices))) {
    throw InvalidArgument("values and indices overlap in memory; each needs memory of its own");
  }
  impl_->run([](const Executor& executor, auto rows, auto best, auto which) { executor.top_k(rows, best, which); }, x,
             values, indices);
}

void Kernel::encode(InputView x, MatrixView<uint8_t> codes) const {
  check_shapes(model(), x, codes.rows, codes.cols, model().n_codebooks());
  check_own_overlap(codes);
  impl_->require_runnable();
  if (overlap(extent(x), extent(codes))) {
    throw InvalidArgument("codes overlap X in memory; they need memory of their own");
  }
  const auto encode = [](const Executor& executor, auto rows, auto of_rows) { executor.encode(rows, of_rows); };
  encode(impl_->encoder().executor, x, codes);
  if (impl_->checker) impl_->checker->compare(encode, *impl_, x, codes);
}

const Model& Kernel::model() const { return impl_->model; }
Activation Kernel::activation() const { return impl_->simplified.lowered.activation; }
Isa Kernel::isa() const { return impl_->isa(); }
Backend Kernel::backend() const { return impl_->backend; }
int64_t Kernel::threads() const { return impl_->threads; }
int64_t Kernel::code_size() const { return impl_->code_size(); }
std::string Kernel::describe() const {
  const Callable& simplified = impl_->simplified;
  std::optional<Tuning> tuning = impl_->tuning;
  if (!tuning && backend() == Backend::kJit) tuning = list_schedules(simplified.model, simplified.lowered.target);
  return message(backend_name(backend()), " kernel for ", isa_name(isa()), ": ", model().n_features(), " -> ",
                 model().n_outputs(), ", ", model().n_codebooks(), " codebooks of depth ", model().depth(), ", ",
                 threads(), " thread", threads() == 1 ? "" : "s", "\n",
                 mithral::describe(model(), simplified.model, *simplified.routines, simplified.lowered.target, tuning));
}
std::string Kernel::program() const { return impl_->program(); }
std::string Kernel::listing() const { return impl_->listing(); }

namespace {

// Only what can be run can be measured.
void check_tune(Tune tune, Backend backend, Isa isa) {
  if (tune != Tune::kMeasure || (backend == Backend::kJit && host_runs(isa))) return;
  throw InvalidArgument(message("tune is 'measure' for backend ", backend_name(backend), " and ", isa_name(isa),
                                " code; it needs backend jit and an ISA that this CPU runs"));
}

}  // namespace

Kernel compile(const Model& given, const CompileOptions& wanted) {
  const Model model = wanted.bias.empty() ? given : with_bias(given, wanted.bias);
  const Backend backend = wanted.backend.value_or(options().backend.value_or(Backend::kJit));
  const int64_t threads = choose_threads(wanted);
  const Isa isa = choose_isa(wanted, backend);
  check_tune(wanted.tune, backend, isa);
  Kernel kernel(std::make_shared<const Kernel::Impl>(model, wanted.activation, backend, isa, threads, wanted.tune));
  if (options().dump_folder) dump_kernel(*options().dump_folder, kernel, kernel.impl_->simplified.routines->code());
  return kernel;
}

}  // namespace mithral
