// reference == JIT == generic == interpreter, byte for byte, over the shapes where kernels have edges.
// support/call_checker.h says how calls are made and compared.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>

#include "codegen/model/reference.h"
#include "runtime/host.h"
#include "tests/support/call_checker.h"

namespace mithral {
namespace {

constexpr int64_t kRowCounts[] = {0, 1, 7, 8, 31, 32, 33, 63, 64, 65, 257, 1000};
constexpr int64_t kFeatures[] = {1, 3, 16, 64, 512};
constexpr int64_t kOutputs[] = {1, 2, 3, 8, 10, 17, 64, 100, 257};
constexpr int64_t kCodebooks[] = {1, 2, 3, 15, 16, 17, 64, 256};
constexpr int64_t kMaxRows = 1000;

// Deep trees take their time in the interpreter, which follows them only up to so many table entries; what they add to
// the shapes is an edge every power of two.
constexpr int64_t kShallow = 4;
constexpr int64_t kDeepFeatures[] = {1, 16, 512};
constexpr int64_t kDeepOutputs[] = {1, 2, 3, 10, 65, 257};
constexpr int64_t kMaxInterpretedEntries = 1 << 16;

struct Case {
  int64_t depth;
  int64_t n_codebooks;
};

void PrintTo(const Case& c, std::ostream* out) { *out << "depth " << c.depth << ", " << c.n_codebooks << " codebooks"; }

class KernelSweep : public ::testing::TestWithParam<Case> {
 protected:
  // All backends that this machine runs, for one model.
  static std::vector<Kernel> kernels(const Model& model) {
    std::vector<Kernel> result;
    for (const Isa isa : host().runnable) result.push_back(compile(model, {.isa = isa, .backend = Backend::kJit}));
    result.push_back(compile(model, {.backend = Backend::kGeneric}));
    const int64_t entries = model.n_codebooks() * model.n_entries() * model.n_outputs();
    if (model.trees().depth() <= kShallow || entries <= kMaxInterpretedEntries) {
      result.push_back(compile(model, {.backend = Backend::kInterpreter}));
    }
    return result;
  }

  void check_model(const Model& model, uint64_t seed) {
    const testing::CallChecker checker(model, seed, kMaxRows);
    const std::vector<Kernel> all = kernels(model);
    for (const int64_t n : kRowCounts) {
      checker.check(all, n);
      if (HasFailure()) return;
    }
  }
};

TEST_P(KernelSweep, BackendsAgreeWithReference) {
  const auto [depth, n_codebooks] = GetParam();
  uint64_t seed = 1000 * depth + n_codebooks;
  const bool deep = depth > kShallow;
  for (const int64_t n_features : deep ? std::span<const int64_t>(kDeepFeatures) : kFeatures) {
    for (const int64_t n_outputs : deep ? std::span<const int64_t>(kDeepOutputs) : kOutputs) {
      ++seed;
      const auto tables = static_cast<testing::Entries>(seed % 3);
      const testing::Shape shape{n_features, n_outputs, n_codebooks, depth};
      const auto make_model = seed % 4 == 3 ? testing::structured_model : testing::random_model;
      check_model(make_model(seed, shape, tables), seed);
      if (HasFatalFailure()) return;
    }
  }
}

std::vector<Case> cases() {
  std::vector<Case> result;
  for (int64_t depth = 1; depth <= HashTrees::kMaxDepth; ++depth) {
    for (const int64_t n_codebooks : kCodebooks) result.push_back({depth, n_codebooks});
  }
  return result;
}

INSTANTIATE_TEST_SUITE_P(Shapes, KernelSweep, ::testing::ValuesIn(cases()), [](const auto& parameter) {
  return "L" + std::to_string(parameter.param.depth) + "C" + std::to_string(parameter.param.n_codebooks);
});

// A sweep that silently runs nothing but portable code would prove nothing about emitted code. isas_executed.py reads
// the two lines.
TEST(KernelSweepCoverage, HostRunsEmittedCode) {
  const auto print_isas = [](const char* what, const std::vector<Isa>& isas) {
    std::printf("%s:", what);
    for (const Isa isa : isas) std::printf(" %s", isa_name(isa));
    std::printf("\n");
  };
  print_isas("ISAs known", all_isas());
  print_isas("ISAs executed", host().runnable);
  EXPECT_FALSE(host().runnable.empty())
      << "this CPU runs no ISA that code can be generated for: emitted code was not tested";
}

// Every segment of sixteen leaves, the last leaf and the first.
TEST(KernelSweepCoverage, RowsReachDeepLeaves) {
  const Model model = testing::random_model(8016, {512, 1, 16, HashTrees::kMaxDepth});
  std::mt19937_64 rng(8016);
  const std::vector<float> input = testing::random_input(rng, kMaxRows * 512);
  std::vector<uint8_t> codes(kMaxRows * 16);
  reference_codes(model.encoder(), row_major(input.data(), kMaxRows, 512), row_major(codes.data(), kMaxRows, 16));
  std::vector<int> rows(256), segments(16);
  for (const uint8_t code : codes) ++rows[code], ++segments[code / 16];
  EXPECT_GT(*std::min_element(segments.begin(), segments.end()), 100);
  EXPECT_GT(std::min({rows[0], rows[1], rows[254], rows[255]}), 0);
}

}  // namespace
}  // namespace mithral
