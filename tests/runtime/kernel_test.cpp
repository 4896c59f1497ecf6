// The callable: what it accepts, what it refuses, what it leaves alone.
#include <gtest/gtest.h>
#include <xmmintrin.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

#include "codegen/model/error.h"
#include "codegen/model/reference.h"
#include "runtime/host.h"
#include "runtime/kernel.h"
#include "runtime/options.h"
#include "tests/support/random.h"

// Counts allocations of the whole program, for the test that a call makes none.
static std::atomic<int64_t> allocation_count{0};
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++allocation_count;
  return std::malloc(size);
}
[[gnu::noinline]] void* operator new(size_t size) {
  if (void* p = operator new(size, std::nothrow)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace mithral {
namespace {

constexpr float kSentinel = -12345.0f;

class EveryBackend : public ::testing::TestWithParam<Backend> {
 protected:
  Kernel compiled(const Model& model, int64_t threads = 1) const {
    if (GetParam() == Backend::kJit && host().runnable.empty()) throw std::runtime_error("no ISA to run");
    return compile(model, {.backend = GetParam(), .threads = threads});
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, EveryBackend,
                         ::testing::Values(Backend::kJit, Backend::kGeneric, Backend::kInterpreter),
                         [](const auto& parameter) { return std::string(backend_name(parameter.param)); });

std::vector<float> expected_rows(const Model& model, MatrixView<const float> x) {
  std::vector<float> y(x.rows * model.n_outputs());
  reference(model, x, row_major(y.data(), x.rows, model.n_outputs()));
  return y;
}

void expect_same(MatrixView<const float> y, const std::vector<float>& expected) {
  for (int64_t i = 0; i < y.rows; ++i) {
    for (int64_t m = 0; m < y.cols; ++m) {
      const float got = y(i, m);
      ASSERT_EQ(std::memcmp(&got, &expected[i * y.cols + m], 4), 0) << "row " << i << ", output " << m;
    }
  }
}

// Every stride a view can have: contiguous, padded, reversed, sparse in both directions, repeated.
TEST_P(EveryBackend, AcceptsAnyStrides) {
  constexpr int64_t kN = 75, kD = 11, kM = 5;
  const Model model = testing::random_model(3, {kD, kM, 6, 4});
  const Kernel kernel = compiled(model);
  std::mt19937_64 rng(4);
  const std::vector<float> memory = testing::random_input(rng, 8 * kN * kD);
  const float* middle = memory.data() + 4 * kN * kD;
  const MatrixView<const float> inputs[] = {
      {memory.data(), kN, kD, kD, 1},     {memory.data(), kN, kD, 1, kN},     {memory.data(), kN, kD, kD + 3, 1},
      {memory.data(), kN, kD, 1, kN + 9}, {memory.data(), kN, kD, 3 * kD, 3}, {memory.data(), kN, kD, 2, 2 * kN},
      {middle, kN, kD, -kD, 1},           {middle, kN, kD, 1, -kN},           {middle, kN, kD, -kD, -1},
      {middle, kN, kD, -1, kN},           {memory.data(), kN, kD, 0, 1},      {memory.data(), kN, kD, 1, 0},
      {memory.data(), kN, kD, 0, 0},
  };
  for (const MatrixView<const float>& x : inputs) {
    SCOPED_TRACE(message("x strides ", x.row_stride, ", ", x.col_stride));
    const std::vector<float> expected = expected_rows(model, x);
    std::vector<float> out(8 * kN * kM);
    float* out_middle = out.data() + 4 * kN * kM;
    const MatrixView<float> outputs[] = {
        {out.data(), kN, kM, kM, 1},     {out.data(), kN, kM, 1, kN},     {out.data(), kN, kM, kM + 2, 1},
        {out.data(), kN, kM, 1, kN + 7}, {out.data(), kN, kM, 2 * kM, 2}, {out.data(), kN, kM, 2, 2 * kN + 1},
        {out_middle, kN, kM, -kM, 1},    {out_middle, kN, kM, 1, -kN},    {out_middle, kN, kM, -kM, -1},
    };
    for (const MatrixView<float>& y : outputs) {
      SCOPED_TRACE(message("y strides ", y.row_stride, ", ", y.col_stride));
      std::fill(out.begin(), out.end(), kSentinel);
      kernel(x, y);
      expect_same(y, expected);
      int64_t written = 0;
      for (const float value : out) written += value != kSentinel;
      EXPECT_EQ(written, kN * kM) << "something outside of y was written";
    }
  }
}

TEST_P(EveryBackend, EncodeGivesTheLeaves) {
  const Model model = testing::random_model(5, {9, 3, 19, 7});
  std::mt19937_64 rng(6);
  const std::vector<float> input = testing::random_input(rng, 1000 * 9);
  for (const int64_t n : {0, 1, 33, 1000}) {
    const auto x = row_major(input.data(), n, 9);
    std::vector<uint8_t> expected(n * 19), codes(n * 19);
    reference_codes(model.encoder(), x, row_major(expected.data(), n, 19));
    compiled(model).encode(x, row_major(codes.data(), n, 19));
    EXPECT_EQ(codes, expected) << n;
  }
}

TEST_P(EveryBackend, RefusesWrongShapesAndWritesNothing) {
  const Model model = testing::random_model(7, {4, 3, 2, 2});
  const Kernel kernel = compiled(model);
  std::vector<float> x(40), y(40, kSentinel);
  const auto refusal = [&](MatrixView<const float> from, MatrixView<float> to) -> std::string {
    try {
      kernel(from, to);
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal(row_major(x.data(), 5, 3), row_major(y.data(), 5, 3)), "X has shape (5, 3); expected (N, 4)");
  EXPECT_EQ(refusal(row_major(x.data(), 5, 4), row_major(y.data(), 4, 3)), "out has shape (4, 3); expected (5, 3)");
  EXPECT_EQ(refusal(row_major(x.data(), 5, 4), row_major(y.data(), 5, 4)), "out has shape (5, 4); expected (5, 3)");
  EXPECT_EQ(refusal({x.data(), 5, 4, 4, 1}, {y.data(), 5, 3, 0, 1}),
            "out has elements that share memory: shape (5, 3) with strides (0, 1) elements; every element needs its "
            "own place");
  EXPECT_NE(refusal({x.data(), 5, 4, 4, 1}, {y.data(), 5, 3, 2, 1}).find("share memory"), std::string::npos);
  EXPECT_NE(refusal({x.data(), 5, 4, 4, 1}, {y.data(), 5, 3, 1, 1}).find("share memory"), std::string::npos);
  for (const float value : y) EXPECT_EQ(value, kSentinel);
}

TEST_P(EveryBackend, OutputMayOverlapInput) {
  const Model model = testing::random_model(8, {4, 4, 5, 4});
  std::mt19937_64 rng(9);
  const std::vector<float> input = testing::random_input(rng, 400);
  for (const int64_t shift : {0, 1, 200, 399}) {
    std::vector<float> memory(1000);
    std::copy(input.begin(), input.end(), memory.begin());
    const auto x = row_major<const float>(memory.data(), 100, 4);
    const std::vector<float> expected = expected_rows(model, x);
    const auto y = row_major(memory.data() + shift, 100, 4);
    compiled(model)(x, y);
    expect_same(y, expected);
  }
}

TEST_P(EveryBackend, ThreadsDoNotChangeBytes) {
  const Model model = testing::random_model(10, {6, 7, 9, 5});
  std::mt19937_64 rng(11);
  const int64_t n = 5003;
  const std::vector<float> input = testing::random_input(rng, n * 6);
  const auto x = row_major(input.data(), n, 6);
  const std::vector<float> expected = expected_rows(model, x);
  for (const int64_t threads : {1, 2, 3, 7}) {
    std::vector<float> y(n * 7);
    compiled(model, threads)(x, row_major(y.data(), n, 7));
    EXPECT_EQ(std::memcmp(y.data(), expected.data(), 4 * y.size()), 0) << threads << " threads";
  }
}

TEST_P(EveryBackend, CallsFromManyThreadsAtOnce) {
  const Model model = testing::random_model(12, {6, 7, 9, 4});
  const Kernel kernel = compiled(model);
  std::mt19937_64 rng(13);
  const std::vector<float> input = testing::random_input(rng, 300 * 6);
  const auto x = row_major(input.data(), 300, 6);
  const std::vector<float> expected = expected_rows(model, x);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, rows = 300 - 17 * t] {
      std::vector<float> y(rows * 7);
      for (int call = 0; call < 20; ++call) {
        kernel(x.row_range(0, rows), row_major(y.data(), rows, 7));
        if (std::memcmp(y.data(), expected.data(), 4 * y.size()) != 0) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(EveryBackend, FloatEnvironmentOfTheCallerIsIgnoredAndKept) {
  const Model model = testing::random_model(14, {6, 10, 9, 4});
  std::mt19937_64 rng(15);
  const std::vector<float> input = testing::random_input(rng, 100 * 6);
  const auto x = row_major(input.data(), 100, 6);
  const std::vector<float> expected = expected_rows(model, x);
  std::vector<float> y(1000);
  const Kernel kernel = compiled(model);
  const unsigned before = _mm_getcsr();
  for (const unsigned unusual : {0x9fc0u, 0x3f80u, 0x5f80u, 0x7f80u}) {  // flush-to-zero; round down; up; towards zero
    _mm_setcsr(unusual);
    kernel(x, row_major(y.data(), 100, 10));
    const unsigned after = _mm_getcsr();
    _mm_setcsr(before);
    EXPECT_EQ(after, unusual);
    EXPECT_EQ(std::memcmp(y.data(), expected.data(), 4 * y.size()), 0) << std::hex << unusual;
  }
}

TEST_P(EveryBackend, SubnormalThresholdsCountWhateverTheCallersFloatEnvironment) {
  testing::ModelArrays arrays{.n_features = 2, .n_outputs = 1, .n_codebooks = 1, .depth = 2};
  arrays.split_dims = {0, 1};
  arrays.thresholds = {0, 1e-40f, 5e-40f};
  arrays.lut = {1, 2, 4, 8};
  arrays.scale = {1};
  arrays.offset = {0};
  const Model model(arrays);
  const std::vector<float> input = {-1, 2e-40f, 1, 2e-40f};
  const auto x = row_major(input.data(), 2, 2);
  const std::vector<float> expected = expected_rows(model, x);
  std::vector<float> y(2);
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040);  // flush to zero, subnormals are zeros
  compiled(model)(x, row_major(y.data(), 2, 1));
  _mm_setcsr(before);
  EXPECT_EQ(y, expected);
}

TEST(Kernel, SecondCallOfAShapeAllocatesNothing) {
  const Model model = testing::random_model(16, {30, 20, 9, 4});
  for (const Backend backend : {Backend::kJit, Backend::kGeneric}) {
    const Kernel kernel = compile(model, {.backend = backend});
    std::vector<float> x(1000 * 30), y(1000 * 20);
    const auto call = [&](bool columns) {
      if (columns) {
        kernel(col_major<const float>(x.data(), 1000, 30), col_major(y.data(), 1000, 20));
      } else {
        kernel(row_major<const float>(x.data(), 1000, 30), row_major(y.data(), 1000, 20));
      }
    };
    call(false);
    call(true);
    const int64_t before = allocation_count;
    call(false);
    call(true);
    EXPECT_EQ(allocation_count, before) << backend_name(backend);
  }
}

TEST(Kernel, CodeAndTablesAreMadeWhenACallNeedsThem) {
  const Model model = testing::random_model(17, {4, 4, 4, 4});
  const std::vector<float> x(64 * 4);
  std::vector<float> y(64 * 4);
  for (const Backend backend : {Backend::kJit, Backend::kGeneric, Backend::kInterpreter}) {
    const Kernel kernel = compile(model, {.backend = backend});
    EXPECT_EQ(kernel.code_size(), 0);
    EXPECT_EQ(kernel.table_size(), 0);
    kernel(row_major(x.data(), 64, 4), row_major(y.data(), 64, 4));
    EXPECT_EQ(kernel.code_size() > 300, backend == Backend::kJit);
    const int64_t lookups = kernel.table_size();
    EXPECT_GT(lookups, 0);
    kernel(row_major(x.data(), 64, 4), row_major(y.data(), 64, 4));
    EXPECT_EQ(kernel.table_size(), lookups) << "once";
    kernel(row_major(x.data(), 3, 4), row_major(y.data(), 3, 4));
    EXPECT_GT(kernel.table_size(), lookups) << "few rows are accumulated";
  }
  EXPECT_NE(compile(model).program().find("program encode for"), std::string::npos);
  EXPECT_NE(compile(model, {.isa = Isa::kAvx2}).listing().find("vpshufb"), std::string::npos);
}

TEST(Kernel, RefusesThreadsOutOfRange) {
  const Model model = testing::random_model(18, {4, 4, 4, 4});
  for (const int64_t threads : {int64_t{0}, int64_t{-1}, kMaxThreads + 1}) {
    EXPECT_THROW(compile(model, {.threads = threads}), InvalidArgument) << threads;
  }
}

// Models whose trees are partly or wholly without effect still compute the contract.
TEST_P(EveryBackend, DegenerateModels) {
  const float infinity = testing::kInfinity;
  testing::ModelArrays a{.n_features = 3,
                         .n_outputs = 2,
                         .n_codebooks = 2,
                         .depth = 2,
                         .split_dims = {0, 1, 2, 2},
                         .thresholds = {},
                         .lut = {1, 2, 3, 4, 5, 6, 7, 8, 200, 201, 202, 203, 204, 205, 206, 207},
                         .scale = {1, 0},
                         .offset = {0, 7}};
  std::mt19937_64 rng(19);
  const std::vector<float> input = testing::random_input(rng, 70 * 3);
  const auto x = row_major(input.data(), 70, 3);
  for (const std::vector<float>& tree : {std::vector<float>{infinity, infinity, infinity},
                                         {infinity, 0, 0},
                                         {0, infinity, infinity},
                                         {-infinity, -infinity, 0},
                                         {0, 0, 0},
                                         {1, infinity, -infinity}}) {
    a.thresholds = tree;
    a.thresholds.insert(a.thresholds.end(), {infinity, infinity, infinity});
    const Model model(a);
    std::vector<float> y(140);
    compiled(model)(x, row_major(y.data(), 70, 2));
    expect_same(row_major<const float>(y.data(), 70, 2), expected_rows(model, x));
  }
}

// ---- options

Options parse(const std::map<std::string, std::string>& environment) {
  return parse_options([&](const char* name) {
    const auto entry = environment.find(name);
    return entry == environment.end() ? nullptr : entry->second.c_str();
  });
}

std::string complaint(const std::string& name, const std::string& value) {
  try {
    parse({{name, value}});
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Options, AreReadFromTheEnvironment) {
  const Options none = parse({});
  EXPECT_FALSE(none.isa_cap || none.backend || none.threads || none.dump_folder || none.check || none.perf_map ||
               none.jitdump_folder);
  const Options all = parse({{"MITHRAL_ISA", "avx2"},
                             {"MITHRAL_BACKEND", "interpreter"},
                             {"MITHRAL_THREADS", "3"},
                             {"MITHRAL_DUMP", "/tmp"},
                             {"MITHRAL_CHECK", "1"},
                             {"MITHRAL_PERF", "jitdump,map"},
                             {"JITDUMPDIR", "/dumps"}});
  EXPECT_EQ(all.isa_cap, Isa::kAvx2);
  EXPECT_EQ(all.backend, Backend::kInterpreter);
  EXPECT_EQ(all.threads, 3);
  EXPECT_EQ(all.dump_folder, "/tmp");
  EXPECT_TRUE(all.check);
  EXPECT_TRUE(all.perf_map);
  EXPECT_EQ(all.jitdump_folder, "/dumps");
  EXPECT_FALSE(parse({{"MITHRAL_PERF", "map"}, {"JITDUMPDIR", "/dumps"}}).jitdump_folder);
  EXPECT_EQ(parse({{"MITHRAL_PERF", "jitdump"}}).jitdump_folder, ".");
  EXPECT_FALSE(parse({{"MITHRAL_PERF", "jitdump"}}).perf_map);
  EXPECT_FALSE(parse({{"MITHRAL_THREADS", ""}, {"MITHRAL_CHECK", "0"}}).threads);
}

TEST(Options, NonsenseIsAnError) {
  EXPECT_EQ(complaint("MITHRAL_ISA", "avx3"),
            "environment variable MITHRAL_ISA: unknown ISA 'avx3'; allowed: sse41, avx2, avx512, avx512_vbmi");
  EXPECT_EQ(complaint("MITHRAL_BACKEND", "fast"),
            "environment variable MITHRAL_BACKEND: unknown backend 'fast'; allowed: jit, generic, interpreter");
  for (const char* threads : {"0", "-1", "two", "3 ", "1025", "99999999999999999999"}) {
    EXPECT_EQ(complaint("MITHRAL_THREADS", threads),
              message("environment variable MITHRAL_THREADS: '", threads, "'; allowed: 1 to 1024"));
  }
  EXPECT_EQ(complaint("MITHRAL_CHECK", "yes"), "environment variable MITHRAL_CHECK: 'yes'; allowed: 0 or 1");
  EXPECT_EQ(complaint("MITHRAL_DUMP", "/no/such/folder"),
            "environment variable MITHRAL_DUMP: '/no/such/folder'; allowed: an existing folder");
  for (const char* perf : {"1", "map,", ",map", "map jitdump", "map,gdb"}) {
    EXPECT_EQ(complaint("MITHRAL_PERF", perf),
              message("environment variable MITHRAL_PERF: '", perf, "'; allowed: map, jitdump, or map,jitdump"));
  }
}

}  // namespace
}  // namespace mithral
