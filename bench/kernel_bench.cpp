// Kernels against the exact product and against each other, on shapes that people have (N x D x M):
//
//     call/<backend>/<order>   whole call, float32 in and out, rows or columns contiguous on both sides
//     encode/<type>            the JIT's encoder alone, of other input types, column-major
//     encode, scan             the JIT's two halves alone, column-major, all rows at once
//     eigen/<order>            the exact product by Eigen, AVX2 and FMA
//     compile                  model -> callable
//
// and, on three of the shapes, every ISA that this CPU runs: isa/<name>/<shape>/{call/<order>, encode, scan}.
//
// Thresholds and inputs are normal, tables uniform over 0 to 255: the worst case for adding in bytes. One thread.
// Compare figures of one run only. BENCHMARK flags apply, e.g. --benchmark_filter=10000x512x10/
// --benchmark_repetitions=5.
#include <benchmark/benchmark.h>

#include <random>
#include <string>

#include "bench/eigen_product.h"
#include "codegen/lower.h"
#include "runtime/host.h"
#include "runtime/kernel.h"
#include "runtime/routines.h"

namespace mithral::bench {
namespace {

struct Shape {
  int64_t n, d, m;
};
constexpr Shape kShapes[] = {{10000, 512, 10},  {10000, 512, 100},   {49284, 27, 2},     {16384, 64, 64},
                             {10240, 512, 512}, {10240, 1024, 1024}, {100000, 128, 128}, {1, 768, 1000},
                             {8, 768, 1000},    {64, 768, 1000}};
std::string name_of(const Shape& shape) {
  return std::to_string(shape.n) + "x" + std::to_string(shape.d) + "x" + std::to_string(shape.m);
}
constexpr int64_t kCodebooks[] = {8, 16, 32, 64};
constexpr int64_t kDepth = 4;                         // where nothing else is said
constexpr int64_t kDepths[] = {1, 2, 3, 5, 6, 7, 8};  // compared on the first shape, at 16 codebooks

enum class Order { kRows, kColumns };

std::vector<float> normal(int64_t count, uint64_t seed) {
  std::mt19937_64 rng(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> values(count);
  for (float& value : values) value = distribution(rng);
  return values;
}

Model make_model(const Shape& shape, int64_t n_codebooks, int64_t depth = kDepth) {
  const int64_t n_leaves = int64_t{1} << depth;
  std::mt19937_64 rng(1);
  ModelArrays a{.n_features = shape.d,
                .n_outputs = shape.m,
                .n_codebooks = n_codebooks,
                .depth = depth,
                .split_dims = {},
                .thresholds = normal(n_codebooks * (n_leaves - 1), 2),
                .lut = {},
                .scale = {},
                .offset = {}};
  for (int64_t i = 0; i < n_codebooks * depth; ++i) a.split_dims.push_back(static_cast<int32_t>(rng() % shape.d));
  for (int64_t i = 0; i < n_codebooks * n_leaves * shape.m; ++i) a.lut.push_back(static_cast<uint8_t>(rng()));
  a.scale.assign(shape.m, 0.01f);
  a.offset.assign(shape.m, -1.0f);
  return Model(std::move(a));
}

// Inputs and outputs of a shape, made once and kept while benchmarks of that shape run.
struct Data {
  std::vector<float> x, b, y;
};
Data& data_for(const Shape& shape) {
  static std::string held;
  static Data data;
  const std::string key = name_of(shape);
  if (held != key) {
    data = {normal(shape.n * shape.d, 3), normal(shape.d * shape.m, 4), std::vector<float>(shape.n * shape.m)};
    held = key;
  }
  return data;
}

template <typename T>
MatrixView<T> view(T* data, int64_t rows, int64_t cols, Order order) {
  return order == Order::kRows ? row_major(data, rows, cols) : col_major(data, rows, cols);
}

void report_lookups(benchmark::State& state, const Shape& shape, int64_t n_codebooks) {
  state.counters["lookups"] = benchmark::Counter(static_cast<double>(shape.n * shape.m * n_codebooks),
                                                 benchmark::Counter::kIsIterationInvariantRate);
}

void bench_call(benchmark::State& state, Shape shape, int64_t n_codebooks, int64_t depth, const CompileOptions& options,
                Order order) {
  Data& data = data_for(shape);
  const Kernel kernel = compile(make_model(shape, n_codebooks, depth), options);
  const auto x = view<const float>(data.x.data(), shape.n, shape.d, order);
  const auto y = view(data.y.data(), shape.n, shape.m, order);
  for (auto _ : state) kernel(x, y);
  report_lookups(state, shape, n_codebooks);
}

void bench_eigen(benchmark::State& state, Shape shape, Order order) {
  Data& data = data_for(shape);
  const auto product = order == Order::kRows ? eigen_product_rows : eigen_product_cols;
  for (auto _ : state) product(data.x.data(), data.b.data(), data.y.data(), shape.n, shape.d, shape.m);
  state.counters["flops"] = benchmark::Counter(2.0 * static_cast<double>(shape.n * shape.d * shape.m),
                                               benchmark::Counter::kIsIterationInvariantRate);
}

void bench_compile(benchmark::State& state, Shape shape, int64_t n_codebooks, int64_t depth) {
  const Model model = make_model(shape, n_codebooks, depth);
  int64_t code_size = 0;
  for (auto _ : state) code_size = compile(model, {.backend = Backend::kJit}).code_size();
  state.counters["code_bytes"] = static_cast<double>(code_size);
}

// One routine by itself, over as many whole blocks as the shape has rows for.
void bench_routine(benchmark::State& state, Shape shape, int64_t n_codebooks, codegen::Routine routine, Isa isa) {
  Data& data = data_for(shape);
  const Model model = make_model(shape, n_codebooks);
  const Target target = host_target(isa);
  const codegen::LoweredModel lowered = codegen::lower(model, codegen::choose_schedule(model, target), target);
  const auto routines = make_routines(Backend::kJit, model, lowered);
  const codegen::CodeLayout& layout = lowered.schedule.codes;
  const int64_t blocks = shape.n / layout.block_rows();
  std::vector<uint8_t> codes(blocks * layout.block_bytes());
  std::vector<int64_t> offsets;
  for (const int32_t column : lowered.columns())
    offsets.push_back(column * shape.n * static_cast<int64_t>(sizeof(float)));
  const auto address = [](const void* p) { return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p)); };
  const int64_t encode[] = {address(data.x.data()), address(offsets.data()), blocks, address(codes.data())};
  const int64_t scan[] = {address(codes.data()), address(data.y.data()), shape.n * 4, blocks};
  routines->run(codegen::Routine::kEncode, encode);
  for (auto _ : state) routines->run(routine, routine == codegen::Routine::kEncode ? encode : scan);
  if (routine == codegen::Routine::kEncode) {
    state.counters["codes"] = benchmark::Counter(static_cast<double>(blocks * layout.block_rows() * n_codebooks),
                                                 benchmark::Counter::kIsIterationInvariantRate);
  } else {
    report_lookups(state, shape, n_codebooks);
  }
}

// The encoder of an input type by itself. Bytes of any kind will do: no branch depends on them.
void bench_encode(benchmark::State& state, Shape shape, int64_t n_codebooks, InputType type, Isa isa) {
  const Model model = make_model(shape, n_codebooks);
  const Target target = host_target(isa);
  const codegen::LoweredModel lowered = codegen::lower(model, codegen::choose_schedule(model, target), target);
  const auto routines = make_routines(Backend::kJit, model, lowered);
  const codegen::CodeLayout& layout = lowered.schedule.codes;
  const int64_t blocks = shape.n / layout.block_rows();
  std::vector<uint8_t> x(shape.n * shape.d * element_bytes(type)), codes(blocks * layout.block_bytes());
  std::mt19937_64 rng(5);
  for (uint8_t& byte : x) byte = static_cast<uint8_t>(rng());
  std::vector<int64_t> offsets;
  for (const int32_t column : lowered.columns()) offsets.push_back(column * shape.n * element_bytes(type));
  const auto address = [](const void* p) { return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p)); };
  const int64_t args[] = {address(x.data()), address(offsets.data()), blocks, address(codes.data())};
  for (auto _ : state) routines->run(codegen::encode_routine(type), args);
  state.counters["codes"] = benchmark::Counter(static_cast<double>(blocks * layout.block_rows() * n_codebooks),
                                               benchmark::Counter::kIsIterationInvariantRate);
}

template <typename Function, typename... Args>
void add(const std::string& name, Function function, Args... args) {
  benchmark::RegisterBenchmark(name.c_str(), function, args...)->Unit(benchmark::kMicrosecond)->UseRealTime();
}

CompileOptions one_thread(Backend backend) { return {.backend = backend, .threads = 1}; }

const char* order_name(Order order) { return order == Order::kRows ? "rows" : "columns"; }

void register_shape(const Shape& shape) {
  const std::string prefix = name_of(shape) + "/";
  for (const Order order : {Order::kRows, Order::kColumns}) {
    add(prefix + "eigen/" + order_name(order), bench_eigen, shape, order);
  }
  for (const int64_t c : kCodebooks) {
    const std::string with_c = prefix + "C" + std::to_string(c) + "/";
    for (const Order order : {Order::kRows, Order::kColumns}) {
      for (const Backend backend : {Backend::kJit, Backend::kGeneric}) {
        const std::string name = with_c + "call/" + backend_name(backend) + "/" + order_name(order);
        add(name, bench_call, shape, c, kDepth, one_thread(backend), order);
      }
    }
    if (shape.n >= 32) {
      add(with_c + "encode", bench_routine, shape, c, codegen::Routine::kEncode, *best_isa());
      add(with_c + "scan", bench_routine, shape, c, codegen::Routine::kScanToColumns, *best_isa());
    }
    add(with_c + "compile", bench_compile, shape, c, kDepth);
  }
  // The interpreter is the reference for bytes, not for speed: one figure a shape tells how far off it is.
  add(prefix + "C16/call/interpreter/columns", bench_call, shape, int64_t{16}, kDepth,
      one_thread(Backend::kInterpreter), Order::kColumns);
}

void register_isas(const Shape& shape) {
  for (const Isa isa : host().runnable) {
    const std::string prefix = std::string("isa/") + isa_name(isa) + "/" + name_of(shape) + "/";
    for (const Order order : {Order::kRows, Order::kColumns}) {
      add(prefix + "call/" + order_name(order), bench_call, shape, int64_t{16}, kDepth,
          CompileOptions{.isa = isa, .backend = Backend::kJit, .threads = 1}, order);
    }
    add(prefix + "encode", bench_routine, shape, int64_t{16}, codegen::Routine::kEncode, isa);
    for (const InputType type : kInputTypes) {
      add(prefix + "encode/" + input_type_name(type), bench_encode, shape, int64_t{16}, type, isa);
    }
    add(prefix + "scan", bench_routine, shape, int64_t{16}, codegen::Routine::kScanToColumns, isa);
  }
}

void register_depths(const Shape& shape) {
  for (const int64_t depth : kDepths) {
    const std::string prefix = "depth" + std::to_string(depth) + "/C16/";
    for (const Backend backend : {Backend::kJit, Backend::kGeneric}) {
      add(prefix + "call/" + backend_name(backend) + "/columns", bench_call, shape, int64_t{16}, depth,
          one_thread(backend), Order::kColumns);
    }
    add(prefix + "compile", bench_compile, shape, int64_t{16}, depth);
  }
}

}  // namespace
}  // namespace mithral::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  if (!mithral::best_isa()) {
    std::fprintf(stderr, "this CPU runs no ISA that code can be generated for: nothing to measure\n");
    return 1;
  }
  for (const auto& shape : mithral::bench::kShapes) mithral::bench::register_shape(shape);
  mithral::bench::register_depths(mithral::bench::kShapes[0]);
  for (const int i : {0, 1, 4}) mithral::bench::register_isas(mithral::bench::kShapes[i]);
  benchmark::AddCustomContext("cpu", mithral::host().brand);
  benchmark::AddCustomContext("isa", mithral::isa_name(*mithral::best_isa()));
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
