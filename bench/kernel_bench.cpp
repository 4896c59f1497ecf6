// Kernels against the exact product, against each other and against what the core can do at most. One thread; outputs
// are reused. Names, first the shape N x D x M:
//
//     <shape>/limit/...                       what this core can do (limits.h)
//     <shape>/exact/<library>/<order>         the exact product (exact_products.h); order: of both sides
//     <shape>/C<C>/call/<maker>/<order>       a whole call, float32 in and out; maker: jit-<isa>, generic, interpreter
//     <shape>/C<C>/<part>/<isa>               stage (row-major x into columns), encode-rows (with staging),
//                                             encode-columns, scan-rows, scan-columns: all rows, one part alone
//     <shape>/C<C>/compile                    model -> callable
//     <shape>/C16/depth<L>/<maker>            a call on columns, of trees of other depths
//     scan/C<C>/M<M>/bits<b>/<order>/<isa>    scans of rows whose outputs stay in L2, table entries uniform in b bits
//     linear/S<S>/M<M>/<part>/<isa>           of linear dims, all S columns: quantise-rows, quantise-columns of 10000
//                                             rows; scan-rows, scan-columns of rows whose outputs stay in L2
//     encode/C16/<type>/<isa>                 columns of 10000 rows, 512 features, of every input type
//     neighbours/<what>/<shape>/C<C>/<maker>/<order>   calls where N, D, M or all are powers of two, and just beside
//     specialisation/<name>/...               calls with it and without (specialisations.h)
//     alignment/<bytes>/<shape>/C16/<maker>/<order>    calls on x and y that begin so far behind a cache line
//
// Counters say what a call has to do: read_bytes (lines of x, and of tables, that are needed), write_bytes, lookups
// (rows x codebooks x outputs), descents (rows x codebooks x depth), products (rows x linear dims x outputs). Table
// entries of codebook c reach max(12, 120 * 0.9^c): see trained_range in problem.cpp.
//
// Times are of the thread that runs, so that other work on the machine counts as little as possible: libraries must not
// start more. Compare figures of one run only; bench/report.py makes a table of them.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>

#include "bench/exact_products.h"
#include "bench/limits.h"
#include "bench/problem.h"
#include "bench/routine_runs.h"
#include "bench/specialisations.h"
#include "runtime/host.h"
#include "runtime/kernel.h"

namespace mithral::bench {
namespace {

constexpr Shape kShapes[] = {{10000, 512, 10},  {10000, 512, 100},   {49284, 27, 2},     {16384, 64, 64},
                             {10240, 512, 512}, {10240, 1024, 1024}, {100000, 128, 128}, {1, 768, 1000},
                             {8, 768, 1000},    {64, 768, 1000}};
constexpr int64_t kCodebooks[] = {4, 8, 16, 32, 64};
constexpr int64_t kDepths[] = {1, 2, 3, 5, 6, 7, 8};  // compared on the first shape, at 16 codebooks
constexpr int64_t kFewestRowsOfBlocks = 64;           // shapes of fewer are not whole blocks for every ISA

// Matrices of a shape, made once and kept while benchmarks of that shape run.
struct Data {
  Buffer x, b, y;
};
Data& data_for(const Shape& shape, int64_t offset = 0) {
  static std::string held;
  static Data data{Buffer(0), Buffer(0), Buffer(0)};
  const std::string key = name_of(shape) + "+" + std::to_string(offset);
  if (held != key) {
    data = {normal_floats(shape.n * shape.d, 3, offset), normal_floats(shape.d * shape.m, 4),
            Buffer(shape.n * shape.m * static_cast<int64_t>(sizeof(float)), offset)};
    held = key;
  }
  return data;
}

// What a call, or a part of it, has to do.
struct Work {
  int64_t read_bytes = 0, write_bytes = 0, lookups = 0, descents = 0, products = 0;
};

void report(benchmark::State& state, const Work& work) {
  using benchmark::Counter;
  const auto count = [&](const char* name, int64_t value) {
    if (value > 0) state.counters[name] = static_cast<double>(value);
  };
  count("read_bytes", work.read_bytes);
  count("write_bytes", work.write_bytes);
  count("lookups", work.lookups);
  count("descents", work.descents);
  count("products", work.products);
  if (work.lookups > 0) {
    state.counters["lookups_per_second"] =
        Counter(static_cast<double>(work.lookups), Counter::kIsIterationInvariantRate);
  }
}

// Of few rows not even the tables have to be read as a whole.
int64_t table_bytes(const Model& model, int64_t n_rows) {
  return model.n_codebooks() * model.n_outputs() * std::min(n_rows, model.n_entries());
}

Work work_of_call(const Model& model, const Shape& shape, Order order) {
  return {.read_bytes = bytes_read(model, shape.n, order) + table_bytes(model, shape.n),
          .write_bytes = shape.n * shape.m * static_cast<int64_t>(sizeof(float)),
          .lookups = shape.n * shape.m * model.n_codebooks(),
          .descents = shape.n * model.n_codebooks() * model.trees().depth()};
}

struct Maker {
  std::string name;
  CompileOptions options;
};
Maker jit(Isa isa) {
  return {std::string("jit-") + isa_name(isa), {.isa = isa, .backend = Backend::kJit, .threads = 1}};
}
Maker other(Backend backend) { return {backend_name(backend), {.backend = backend, .threads = 1}}; }

// The best ISA, and AVX2, which most CPUs have, where that is not the best.
std::vector<Isa> usual_isas() {
  std::vector<Isa> isas = {*best_isa()};
  if (isas[0] != Isa::kAvx2 && host_runs(Isa::kAvx2)) isas.push_back(Isa::kAvx2);
  return isas;
}

struct Call {
  Shape shape;
  int64_t n_codebooks = 16;
  Order order = Order::kColumns;
  Maker maker;
  int64_t depth = kDepth;
  int64_t offset = 0;  // of x and y, bytes behind the start of a cache line
};

void bench_call(benchmark::State& state, const Call& call) {
  const Shape& shape = call.shape;
  Data& data = data_for(shape, call.offset);
  const Model model = make_model(shape, call.n_codebooks, call.depth);
  const Kernel kernel = compile(model, call.maker.options);
  const auto x = view<const float>(data.x.as<float>(), shape.n, shape.d, call.order);
  const auto y = view(data.y.as<float>(), shape.n, shape.m, call.order);
  for (auto _ : state) kernel(x, y);
  report(state, work_of_call(model, shape, call.order));
}

void bench_exact(benchmark::State& state, const Library& library, const Shape& shape, Order order) {
  if (!library.missing.empty()) return state.SkipWithError(library.missing.c_str());
  Data& data = data_for(shape);
  const auto product = library.prepare({shape, order, data.x.as<float>(), data.b.as<float>(), data.y.as<void>()});
  for (auto _ : state) product->run();
  state.counters["flops"] = benchmark::Counter(2.0 * static_cast<double>(shape.n * shape.d * shape.m),
                                               benchmark::Counter::kIsIterationInvariantRate);
}

void bench_compile(benchmark::State& state, const Shape& shape, int64_t n_codebooks) {
  const Model model = make_model(shape, n_codebooks);
  int64_t code_size = 0;
  for (auto _ : state) code_size = compile(model, {.backend = Backend::kJit}).code_size();
  state.counters["code_bytes"] = static_cast<double>(code_size);
}

enum class Part { kStage, kEncode, kScan };
struct PartOfCall {
  const char* name;
  Part part;
  Order order;
};
constexpr PartOfCall kParts[] = {{"stage", Part::kStage, Order::kRows},
                                 {"encode-rows", Part::kEncode, Order::kRows},
                                 {"encode-columns", Part::kEncode, Order::kColumns},
                                 {"scan-rows", Part::kScan, Order::kRows},
                                 {"scan-columns", Part::kScan, Order::kColumns}};

Work work_of_part(const Model& model, const Shape& shape, const PartOfCall& which, int64_t code_bytes) {
  if (which.part == Part::kStage) return {.read_bytes = bytes_read(model, shape.n, which.order)};
  Work work = work_of_call(model, shape, which.order);
  if (which.part == Part::kScan) {
    work.read_bytes = code_bytes + table_bytes(model, shape.n);
    work.descents = 0;
  } else {
    work.read_bytes -= table_bytes(model, shape.n);
    work.write_bytes = code_bytes;
    work.lookups = 0;
  }
  return work;
}

void bench_part(benchmark::State& state, const Shape& shape, int64_t n_codebooks, const PartOfCall& which, Isa isa,
                const EntryRange& range) {
  Data& data = data_for(shape);
  const Model model = make_model(shape, n_codebooks, kDepth, range);
  const RoutineRuns runs(model, isa, shape.n, data.x.as<float>(), data.y.as<float>());
  runs.encode(Order::kColumns);
  for (auto _ : state) {
    switch (which.part) {
      case Part::kStage: runs.stage(); break;
      case Part::kEncode: runs.encode(which.order); break;
      case Part::kScan: runs.scan(which.order); break;
    }
  }
  report(state, work_of_part(model, {runs.n_rows(), shape.d, shape.m}, which, runs.code_bytes()));
}

void bench_linear(benchmark::State& state, const Shape& shape, const PartOfCall& which, Isa isa) {
  Data& data = data_for(shape);
  const RoutineRuns runs(make_linear_model(shape), isa, shape.n, data.x.as<float>(), data.y.as<float>());
  const bool scans = which.part == Part::kScan;
  runs.quantise(Order::kColumns);
  for (auto _ : state) {
    if (!scans) {
      runs.quantise(which.order);
    } else if (which.order == Order::kColumns) {
      runs.scan(Order::kColumns);
    } else {
      runs.accumulate();
    }
  }
  const int64_t values = runs.n_rows() * shape.d, outputs = runs.n_rows() * shape.m;
  constexpr int64_t kFloatBytes = sizeof(float);
  report(state, scans ? Work{.read_bytes = runs.code_bytes() + shape.d * shape.m,
                             .write_bytes = outputs * kFloatBytes,
                             .products = outputs * shape.d}
                      : Work{.read_bytes = values * kFloatBytes});
}

void bench_encode(benchmark::State& state, const Shape& shape, InputType type, Isa isa) {
  Data& data = data_for(shape);
  const Model model = make_model(shape, 16);
  const RoutineRuns runs(model, isa, shape.n, data.x.as<float>(), data.y.as<float>());
  for (auto _ : state) runs.encode_columns(type);
  const int64_t float_bytes = bytes_read(model, runs.n_rows(), Order::kColumns);
  report(state, {.read_bytes = float_bytes / element_bytes(InputType::kFloat32) * element_bytes(type),
                 .write_bytes = runs.code_bytes(),
                 .descents = runs.n_rows() * model.n_codebooks() * model.trees().depth()});
}

template <typename Function, typename... Args>
void add(const std::string& name, Function function, Args... args) {
  benchmark::RegisterBenchmark(name.c_str(), function, args...)->Unit(benchmark::kMicrosecond);
}

void add_call(const std::string& prefix, const Call& call) {
  add(prefix + call.maker.name + "/" + name_of(call.order), bench_call, call);
}

void register_kernels(const Shape& shape, int64_t n_codebooks, const std::vector<Isa>& isas) {
  const std::string prefix = name_of(shape) + "/C" + std::to_string(n_codebooks) + "/";
  for (const Order order : kOrders) {
    for (const Isa isa : isas) add_call(prefix + "call/", {shape, n_codebooks, order, jit(isa)});
    add_call(prefix + "call/", {shape, n_codebooks, order, other(Backend::kGeneric)});
  }
  add(prefix + "compile", bench_compile, shape, n_codebooks);
  if (shape.n < kFewestRowsOfBlocks) return;
  for (const PartOfCall& part : kParts) {
    for (const Isa isa : isas) {
      add(prefix + part.name + "/" + isa_name(isa), bench_part, shape, n_codebooks, part, isa, trained_range);
    }
  }
}

void register_shape(const Shape& shape) {
  const std::string prefix = name_of(shape) + "/";
  register_limits(prefix + "limit/");
  for (const Library& library : exact_libraries()) {
    for (const Order order : kOrders) {
      add(prefix + "exact/" + library.name + "/" + name_of(order), bench_exact, library, shape, order);
    }
  }
  const bool is_first = shape.n == kShapes[0].n && shape.m == kShapes[0].m;
  for (const int64_t c : kCodebooks) register_kernels(shape, c, is_first ? host().runnable : usual_isas());
  // The interpreter is the reference for bytes, not for speed: one figure a shape tells how far off it is.
  add_call(prefix + "C16/call/", {.shape = shape, .maker = other(Backend::kInterpreter)});
}

void register_depths(const Shape& shape) {
  for (const int64_t depth : kDepths) {
    const std::string prefix = name_of(shape) + "/C16/depth" + std::to_string(depth) + "/";
    for (const Maker& maker : {jit(*best_isa()), other(Backend::kGeneric)}) {
      add_call(prefix, {.shape = shape, .maker = maker, .depth = depth});
    }
  }
}

// Rows whose outputs stay in L2, so that look-ups are measured and not stores: whole tall tiles of every ISA.
int64_t scanned_rows(int64_t n_outputs) {
  constexpr int64_t kOutputs = 256 * 1024 / sizeof(float), kTileRows = 256;
  return std::max(kOutputs / n_outputs / kTileRows, int64_t{1}) * kTileRows;
}

void register_scans() {
  register_limits("scan/limit/");
  for (const int64_t c : {16, 32, 64}) {
    for (const int64_t m : {10, 100, 1024}) {
      for (const int bits : {6, 7, 8}) {
        const EntryRange range = [bits](int64_t) { return (1 << bits) - 1; };
        const std::string prefix =
            "scan/C" + std::to_string(c) + "/M" + std::to_string(m) + "/bits" + std::to_string(bits);
        for (const PartOfCall& part : kParts) {
          if (part.part != Part::kScan) continue;
          for (const Isa isa : usual_isas()) {
            add(prefix + "/" + name_of(part.order) + "/" + isa_name(isa), bench_part, Shape{scanned_rows(m), 512, m}, c,
                part, isa, range);
          }
        }
      }
    }
  }
}

void register_linear() {
  register_limits("linear/limit/");
  constexpr PartOfCall kLinearParts[] = {{"quantise-rows", Part::kEncode, Order::kRows},
                                         {"quantise-columns", Part::kEncode, Order::kColumns},
                                         {"scan-rows", Part::kScan, Order::kRows},
                                         {"scan-columns", Part::kScan, Order::kColumns}};
  constexpr int64_t kQuantisedRows = 10000;
  for (const int64_t s : {32, 64, 128, 512}) {
    for (const int64_t m : {64, 512}) {
      for (const PartOfCall& part : kLinearParts) {
        if (part.part == Part::kEncode && m != 64) continue;  // no matter how many outputs
        const int64_t rows = part.part == Part::kScan ? scanned_rows(m) : kQuantisedRows;
        for (const Isa isa : usual_isas()) {
          add("linear/S" + std::to_string(s) + "/M" + std::to_string(m) + "/" + part.name + "/" + isa_name(isa),
              bench_linear, Shape{rows, s, m}, part, isa);
        }
      }
    }
  }
}

void register_input_types() {
  register_limits("encode/limit/");
  for (const InputType type : kInputTypes) {
    for (const Isa isa : usual_isas()) {
      add(std::string("encode/C16/") + input_type_name(type) + "/" + isa_name(isa), bench_encode, Shape{10000, 512, 10},
          type, isa);
    }
  }
}

// Strides that are powers of two send rows, or columns, to the same sets of the caches.
void register_neighbours(const std::string& what, const std::vector<int64_t>& sizes, Shape shape,
                         const std::vector<int64_t Shape::*>& varied) {
  for (const int64_t size : sizes) {
    for (const int64_t beside : {size - 1, size, size + 1}) {
      for (int64_t Shape::*field : varied) shape.*field = beside;
      for (const int64_t c : {16, 64}) {
        const std::string prefix = "neighbours/" + what + "/" + name_of(shape) + "/C" + std::to_string(c) + "/";
        for (const Order order : kOrders) {
          for (const Isa isa : usual_isas()) add_call(prefix, {shape, c, order, jit(isa)});
        }
      }
    }
  }
}

void register_alignments() {
  for (const Shape& shape : {Shape{10000, 512, 100}, Shape{10240, 512, 512}}) {
    for (const int64_t offset : {0, 4, 16, 32}) {  // 16: what NumPy gets from malloc for large arrays
      const std::string prefix = "alignment/" + std::to_string(offset) + "/" + name_of(shape) + "/C16/";
      for (const Order order : kOrders) {
        for (const Isa isa : usual_isas()) {
          add_call(prefix, {.shape = shape, .order = order, .maker = jit(isa), .offset = offset});
        }
      }
    }
  }
}

void register_all() {
  for (const Shape& shape : kShapes) register_shape(shape);
  register_depths(kShapes[0]);
  register_scans();
  register_linear();
  register_input_types();
  register_neighbours("N", {4096, 8192}, {0, 300, 100}, {&Shape::n});
  register_neighbours("D", {512, 1024, 4096}, {2000, 0, 100}, {&Shape::d});
  register_neighbours("M", {256, 1024, 4096}, {2000, 300, 0}, {&Shape::m});
  register_neighbours("all", {2048}, {}, {&Shape::n, &Shape::d, &Shape::m});
  register_alignments();
  register_specialisations();
}

}  // namespace
}  // namespace mithral::bench

int main(int argc, char** argv) try {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  if (!mithral::best_isa()) {
    std::fprintf(stderr, "this CPU runs no ISA that code can be generated for: nothing to measure\n");
    return 1;
  }
  mithral::bench::register_all();
  benchmark::AddCustomContext("cpu", mithral::host().brand);
  benchmark::AddCustomContext("isa", mithral::isa_name(*mithral::best_isa()));
  benchmark::RunSpecifiedBenchmarks();
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
