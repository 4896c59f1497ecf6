// What runs on an emulated CPU (tests/emulator): the CPU's best ISA is found and chosen, and its code returns the
// reference's bytes. A smaller sweep than kernel_sweep_test, because emulation is 80 times slower.
//
//     emulated_cpu_test --runs=sse41,avx2 [--sweep]     the ISAs that this CPU runs, of all that there may ever be
#include <gtest/gtest.h>

#include <span>

#include "codegen/model/error.h"
#include "runtime/host.h"
#include "tests/support/call_checker.h"

namespace mithral {
namespace {

std::vector<Isa> cpu_runs;  // by --runs, rising
bool swept = false;         // by the best of them

constexpr int64_t kRowCounts[] = {0, 1, 15, 16, 33, 63, 64, 65, 129, 200};

// ---- any CPU

TEST(EmulatedCpu, RunsWhatItShould) {
  const auto names = [](const std::vector<Isa>& isas) {
    std::string text;
    for (const Isa isa : isas) text += std::string(" ") + isa_name(isa);
    return text;
  };
  EXPECT_EQ(names(host().runnable), names(cpu_runs));
}

TEST(EmulatedCpu, KernelsChooseTheBestIsa) {
  const Model model = testing::random_model(3, {20, 10, 9, 4});
  if (cpu_runs.empty()) {
    EXPECT_EQ(best_isa(), std::nullopt);
    EXPECT_THROW((void)compile(model, {.backend = Backend::kJit}), UnsupportedTarget);
  } else {
    EXPECT_EQ(best_isa(), cpu_runs.back());
    EXPECT_EQ(compile(model, {.backend = Backend::kJit}).isa(), cpu_runs.back());
  }
}

TEST(EmulatedCpu, EveryBackendReturnsTheReferencesBytes) {
  const Model model = testing::random_model(4, {20, 10, 9, 4});
  const testing::CallChecker checker(model, 4, 200);
  std::vector<Kernel> kernels;
  for (const Backend backend : {Backend::kGeneric, Backend::kInterpreter}) {
    kernels.push_back(compile(model, {.backend = backend}));
  }
  for (const Isa isa : cpu_runs) kernels.push_back(compile(model, {.isa = isa, .backend = Backend::kJit}));
  if (!cpu_runs.empty()) kernels.push_back(compile(model, {.backend = Backend::kJit, .threads = 3}));
  checker.check(kernels, 200);
}

// ---- the best ISA of this CPU, over shapes

constexpr int64_t kFeatures[] = {1, 3, 16, 70};
constexpr int64_t kOutputs[] = {1, 2, 3, 8, 10, 17, 64, 65};
constexpr int64_t kCodebooks[] = {1, 2, 3, 15, 16, 17, 64};
constexpr int64_t kDims[] = {1, 4, 17, 50, 75};
constexpr int kModelsPerDepth = 16;

// One of the shapes, at random: each value meets each other one somewhere.
Model any_model(uint64_t seed, int64_t depth) {
  std::mt19937_64 rng(seed);
  const auto one_of = [&rng](std::span<const int64_t> values) { return values[rng() % values.size()]; };
  const testing::Shape shape{one_of(kFeatures), one_of(kOutputs), one_of(kCodebooks), depth};
  const auto tables = static_cast<testing::Entries>(rng() % 3);
  const uint64_t kind = rng() % 4;
  if (kind == 0) return testing::structured_model(seed, shape, tables);
  if (kind != 1) return testing::random_model(seed, shape, tables);
  const int64_t n_codebooks = rng() % 2 == 0 ? 0 : shape.n_codebooks;
  testing::ModelArrays arrays =
      testing::random_arrays(rng, {shape.n_features, shape.n_outputs, n_codebooks, depth}, tables);
  arrays.linear = testing::random_linear(rng, one_of(kDims), shape.n_features, shape.n_outputs,
                                         static_cast<testing::Weights>(rng() % 4));
  return arrays;
}

class EmulatedSweep : public ::testing::TestWithParam<std::tuple<int64_t, int>> {};

TEST_P(EmulatedSweep, JitAgreesWithReference) {
  const auto [depth, index] = GetParam();
  const uint64_t seed = 100 * depth + index;
  const Model model = any_model(seed, depth);
  const std::vector<Kernel> kernels = {compile(model, {.backend = Backend::kJit})};
  ASSERT_EQ(kernels[0].isa(), cpu_runs.back());
  const testing::CallChecker checker(model, seed, 200);
  for (const int64_t n : kRowCounts) {
    checker.check(kernels, n);
    if (HasFailure()) return;
  }
  swept = true;
}

std::string case_name(const ::testing::TestParamInfo<std::tuple<int64_t, int>>& parameter) {
  return "L" + std::to_string(std::get<0>(parameter.param)) + "_" + std::to_string(std::get<1>(parameter.param));
}
INSTANTIATE_TEST_SUITE_P(Shapes, EmulatedSweep,
                         ::testing::Combine(::testing::Range(int64_t{1}, HashTrees::kMaxDepth + 1),
                                            ::testing::Range(0, kModelsPerDepth)),
                         case_name);

// ---- the command line

std::vector<Isa> parse_runs(const std::string& list) {
  std::vector<Isa> result;
  for (const Isa isa : all_isas()) {
    if (("," + list + ",").find("," + std::string(isa_name(isa)) + ",") != std::string::npos) result.push_back(isa);
  }
  return result;
}

// What is found and chosen, or single operations (emit_test.cpp), calls (calling_convention_test.cpp) and the sweep,
// for the best ISA only: the others run elsewhere.
std::string tests_to_run(bool sweep) {
  if (!sweep) return "EmulatedCpu.*";
  std::string result = "*EmulatedSweep*";
  for (const char* suite : {"EveryIsa", "CallingConvention"}) {
    result += message(":*", suite, "*/", isa_name(cpu_runs.back()));
  }
  return result;
}

}  // namespace
}  // namespace mithral

int main(int argc, char** argv) {
  using namespace mithral;
  bool sweep = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.rfind("--runs=", 0) == 0) cpu_runs = parse_runs(argument.substr(7));
    if (argument == "--sweep") sweep = true;
  }
  GTEST_FLAG_SET(filter, tests_to_run(sweep && !cpu_runs.empty()));
  ::testing::InitGoogleTest(&argc, argv);
  const int status = RUN_ALL_TESTS();
  if (status == 0 && swept) std::printf("ISAs executed (emulated): %s\n", isa_name(cpu_runs.back()));
  return status;
}
