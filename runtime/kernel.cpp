#include "runtime/kernel.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "codegen/model/error.h"
#include "jit/emit.h"
#include "runtime/checker.h"
#include "runtime/describe.h"
#include "runtime/destination.h"
#include "runtime/dump.h"
#include "runtime/executable.h"
#include "runtime/given_codes.h"
#include "runtime/host.h"
#include "runtime/on_first_use.h"
#include "runtime/options.h"
#include "runtime/parts.h"
#include "runtime/shared_model.h"
#include "runtime/top_k.h"
#include "runtime/tune.h"

namespace mithral {
namespace {

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

// What an Executor computes, for calls of rows and of codes.
constexpr auto kSums = [](const Executor& by, const Rows& rows, auto y) { by.sums(rows, y); };
constexpr auto kArgmax = [](const Executor& by, const Rows& rows, auto indices) { by.argmax(rows, indices); };
constexpr auto kTopK = [](const Executor& by, const Rows& rows, auto values, auto indices) {
  by.top_k(rows, values, indices);
};
// Of a call of so many rows.
auto outputs_of(int64_t call_rows) {
  return [call_rows](const Executor& by, const Rows& rows, auto y) { by.outputs(rows, y, call_rows); };
}

}  // namespace

Tune tune_from_name(const std::string& name) {
  if (name == "rules") return Tune::kRules;
  if (name == "measure") return Tune::kMeasure;
  throw InvalidArgument(message("unknown tune '", name, "'; allowed: rules, measure"));
}

namespace {

// All that is chosen before anything is made.
struct Prepared {
  std::shared_ptr<const SharedModel> shared;
  Model simplified;
  std::optional<Tuning> tuning;  // if candidates were measured
  codegen::LoweredModel lowered;
};

Prepared prepare(const Model& given, const Target& target, Activation activation, Tune tune) {
  std::shared_ptr<const SharedModel> shared = SharedModel::of(given);
  const Model model = shared->simplified(given);
  std::optional<Tuning> tuning;
  if (tune == Tune::kMeasure) tuning = measure_schedules(model, target, activation);
  const EntryRanges ranges = entry_ranges(model.tables());
  const codegen::Schedule schedule = tuning ? tuning->schedule() : codegen::choose_schedule(model, ranges, target);
  return {std::move(shared), model, std::move(tuning), codegen::lower(model, ranges, schedule, target, activation)};
}

}  // namespace

struct Kernel::Impl {
  Impl(const Model& given, Backend b, Prepared prepared, int64_t n_threads)
      : model(given),
        backend(b),
        shared(std::move(prepared.shared)),
        tuning(std::move(prepared.tuning)),
        simplified(prepared.simplified, std::move(prepared.lowered), b, shared.get()),
        parts(simplified.model, simplified.runner->schedule(), target(), n_threads) {
    if (options().check) checker.emplace(model, simplified.lowered.activation, target());
  }

  const Target& target() const { return simplified.lowered.target; }
  bool is_simplified() const { return &simplified.model.tables().lut() != &model.tables().lut(); }

  // For codes, which are those of the model as given: simplifying may have left some out.
  const Executable& as_given() const {
    if (!is_simplified()) return simplified;
    return made_as_given.get([this] {
      const EntryRanges ranges = entry_ranges(model.tables());
      const codegen::Schedule schedule = codegen::choose_schedule(model, ranges, target());
      return std::make_unique<const Executable>(
          model, codegen::lower(model, ranges, schedule, target(), simplified.lowered.activation), backend,
          shared.get());
    });
  }

  // The sum of what `size` says of all that was made.
  template <typename Size>
  int64_t sum_of(Size&& size) const {
    const auto with_latents = [&size](const Executable* executable) {
      int64_t sum = 0;
      for (; executable != nullptr; executable = executable->latents.get()) sum += size(*executable);
      return sum;
    };
    return with_latents(&simplified) + with_latents(made_as_given.if_made());
  }

  void require_runnable() const {
    if (backend == Backend::kJit && !host_runs(target().isa)) {
      throw UnsupportedTarget(message("this kernel is ", isa_name(target().isa), " code; this CPU (", host().brand,
                                      ") cannot run it; program() and listing() work"));
    }
  }

  // Rows of x; where codes come from the caller, x is them.
  Rows rows_of(InputView x) const {
    if (!simplified.lowered.encoder->is_given()) return x;
    if (x.type != InputType::kUint8) {
      throw InvalidArgument(message("X has element type ", input_type_name(x.type),
                                    "; the model's codes come from the caller: expected codes, uint8"));
    }
    return Rows::codes(x.as<uint8_t>());
  }

  // One call: `compute(executor, rows, y...)`. Checks everything but the shapes of y.
  template <typename Compute, typename... T>
  void call(Compute&& compute, const Rows& rows, MatrixView<T>... y) const {
    (check_own_overlap(y), ...);
    require_runnable();
    const bool are_codes = rows.kind == Rows::Kind::kCodes;
    if (are_codes) check_given_codes(rows.view.as<uint8_t>(), model.n_entries());
    if (rows.count() == 0) return;
    const Executor& executor = (are_codes ? as_given() : simplified).executor;
    std::tuple<Destination<T>...> destinations(Destination<T>(y, overlap(extent(rows.view), extent(y)))...);
    std::apply([&](const auto&... to) { call_apart(compute, executor, rows, to.view()...); }, destinations);
    std::apply([](const auto&... to) { (to.copy_back(), ...); }, destinations);
  }

  // No y overlaps the rows.
  template <typename Compute, typename... T>
  void call_apart(Compute&& compute, const Executor& executor, const Rows& rows, MatrixView<T>... y) const {
    parts.for_parts(rows, [&](int64_t first, int64_t count) {
      compute(executor, rows.range(first, count), y.row_range(first, count)...);
    });
    check(compute, rows, y...);
  }

  template <typename Compute, typename... T>
  void check(Compute&& compute, const Rows& rows, MatrixView<T>... y) const {
    if (checker)
      checker->compare(
          compute, [this] { return program() + listing(); }, rows, y...);
  }

  // `out` is what the call's rows, which fit the model, fill.
  template <typename T>
  void check_shapes(const Rows& rows, MatrixView<T> out, int64_t expected_cols) const {
    const bool are_codes = rows.kind == Rows::Kind::kCodes;
    if (are_codes) model.check_codes_suffice();
    const int64_t cols = are_codes ? model.n_codebooks() : model.n_features();
    if (rows.count() < 0 || rows.view.cols != cols) {
      throw InvalidArgument(message(are_codes ? "codes" : "X", " has shape (", rows.count(), ", ", rows.view.cols,
                                    "); expected (N, ", cols, ")"));
    }
    if (out.rows != rows.count() || out.cols != expected_cols) {
      throw InvalidArgument(message("out has shape (", out.rows, ", ", out.cols, "); expected (", rows.count(), ", ",
                                    expected_cols, ")"));
    }
  }

  void outputs(const Rows& rows, MatrixView<float> y) const {
    check_shapes(rows, y, model.n_outputs());
    call(outputs_of(rows.count()), rows, y);
  }

  void sums(const Rows& rows, MatrixView<int32_t> y) const {
    check_shapes(rows, y, model.n_outputs());
    call(kSums, rows, y);
  }

  void argmax(const Rows& rows, MatrixView<int64_t> indices) const {
    check_shapes(rows, indices, 1);
    call(kArgmax, rows, indices);
  }

  void top_k(const Rows& rows, MatrixView<float> values, MatrixView<int64_t> indices) const {
    static_assert(kMaxTopK == TopK::kMax);
    check_range("k", values.cols, 1, std::min(kMaxTopK, model.n_outputs()));
    check_shapes(rows, values, values.cols);
    check_shapes(rows, indices, values.cols);
    if (overlap(extent(values), extent(indices))) {
      throw InvalidArgument("values and indices overlap in memory; each needs memory of its own");
    }
    call(kTopK, rows, values, indices);
  }

  template <typename ToText>
  std::string text_of_routines(ToText&& to_text) const {
    std::string text;
    for (const Executable* of = &simplified; of != nullptr; of = of->latents.get()) {
      if (of != &simplified) text += "; of the latents\n\n";
      for (const codegen::Program& program : codegen::lower_routines(of->lowered)) text += to_text(program) + "\n";
    }
    return text;
  }
  std::string program() const {
    return text_of_routines([](const codegen::Program& program) { return codegen::print(program); });
  }
  std::string listing() const {
    return text_of_routines([](const codegen::Program& program) { return jit::listing(program); });
  }

  Model model;
  Backend backend;
  std::shared_ptr<const SharedModel> shared;
  std::optional<Tuning> tuning;  // of the simplified model, if it was measured
  Executable simplified;
  mutable OnFirstUse<Executable> made_as_given;
  Parts parts;
  std::optional<Checker> checker;
};

void Kernel::operator()(InputView x, MatrixView<float> y) const { impl_->outputs(impl_->rows_of(x), y); }
void Kernel::sums(InputView x, MatrixView<int32_t> y) const { impl_->sums(impl_->rows_of(x), y); }
void Kernel::argmax(InputView x, MatrixView<int64_t> indices) const { impl_->argmax(impl_->rows_of(x), indices); }
void Kernel::top_k(InputView x, MatrixView<float> values, MatrixView<int64_t> indices) const {
  impl_->top_k(impl_->rows_of(x), values, indices);
}

void Kernel::scan(MatrixView<const uint8_t> codes, MatrixView<float> y) const { impl_->outputs(Rows::codes(codes), y); }
void Kernel::scan_sums(MatrixView<const uint8_t> codes, MatrixView<int32_t> y) const {
  impl_->sums(Rows::codes(codes), y);
}
void Kernel::scan_argmax(MatrixView<const uint8_t> codes, MatrixView<int64_t> indices) const {
  impl_->argmax(Rows::codes(codes), indices);
}
void Kernel::scan_top_k(MatrixView<const uint8_t> codes, MatrixView<float> values, MatrixView<int64_t> indices) const {
  impl_->top_k(Rows::codes(codes), values, indices);
}

void Kernel::encode(InputView x, MatrixView<uint8_t> codes) const {
  if (impl_->simplified.lowered.encoder->is_given()) {
    throw InvalidArgument("the model's codes come from the caller: there is nothing to encode rows with");
  }
  const Rows rows = x;
  impl_->check_shapes(rows, codes, model().n_codebooks());
  check_own_overlap(codes);
  impl_->require_runnable();
  if (overlap(extent(x), extent(codes))) {
    throw InvalidArgument("codes overlap X in memory; they need memory of their own");
  }
  const auto encode = [](const Executor& by, const Rows& some, auto to) { by.encode(some.view, to); };
  encode(impl_->as_given().executor, rows, codes);
  impl_->check(encode, rows, codes);
}

const Model& Kernel::model() const { return impl_->model; }
Activation Kernel::activation() const { return impl_->simplified.lowered.activation; }
Isa Kernel::isa() const { return impl_->target().isa; }
Backend Kernel::backend() const { return impl_->backend; }
int64_t Kernel::threads() const { return impl_->parts.n_threads(); }
int64_t Kernel::code_size() const {
  return impl_->sum_of([](const Executable& executable) { return executable.runner->code_size(); });
}
int64_t Kernel::table_size() const {
  return impl_->sum_of([](const Executable& executable) { return executable.tables.bytes(); });
}
std::string Kernel::describe() const {
  const Executable& simplified = impl_->simplified;
  std::optional<Tuning> tuning = impl_->tuning;
  if (!tuning && backend() == Backend::kJit) tuning = list_schedules(simplified.model, impl_->target());
  std::string parts;
  if (model().n_codebooks() > 0) {
    parts += message(model().n_codebooks(), " codebooks of ", model().n_entries(), " entries, ");
  }
  if (model().n_linear() > 0) parts += message(model().n_linear(), " linear dims, ");
  if (model().n_latents() > 0) parts += message(model().n_latents(), " latents, ");
  return message(backend_name(backend()), " kernel for ", isa_name(isa()), ": ", model().n_features(), " -> ",
                 model().n_outputs(), ", ", parts, threads(), " thread", threads() == 1 ? "" : "s", "\n",
                 mithral::describe(model(), simplified, tuning));
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
  const Model model = wanted.bias.empty() ? given : given.with_bias(wanted.bias);
  const Backend backend = wanted.backend.value_or(options().backend.value_or(Backend::kJit));
  const int64_t threads = choose_threads(wanted);
  const Isa isa = choose_isa(wanted, backend);
  check_tune(wanted.tune, backend, isa);
  Kernel kernel(std::make_shared<const Kernel::Impl>(
      model, backend, prepare(model, host_target(isa), wanted.activation, wanted.tune), threads));
  if (options().dump_folder) dump_kernel(*options().dump_folder, kernel, kernel.impl_->simplified);
  return kernel;
}

}  // namespace mithral
