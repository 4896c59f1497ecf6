// reference == JIT == generic == interpreter, byte for byte, over the shapes where kernels have edges.
// support/call_checker.h says how calls are made and compared.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "codegen/model/reference.h"
#include "runtime/host.h"
#include "tests/support/call_checker.h"

namespace mithral {
namespace {

constexpr int64_t kRowCounts[] = {0, 1, 7, 8, 31, 32, 33, 63, 64, 65, 257, 1000};
constexpr int64_t kFeatures[] = {1, 3, 16, 64, 512};
constexpr int64_t kOutputs[] = {1, 2, 3, 8, 10, 17, 64, 100, 257};
constexpr int64_t kCodebooks[] = {1, 2, 3, 15, 16, 17, 64, 256};

// Large tables, of deep trees or many codebooks, are for fewer columns and outputs: what they add to the shapes is an
// edge every power of two. The interpreter takes its time, and follows deep trees only up to so many table entries.
constexpr int64_t kShallow = 4;
constexpr int64_t kFew = 64;  // codebooks
constexpr int64_t kFeaturesOfLarge[] = {1, 16, 512};
constexpr int64_t kOutputsOfLarge[] = {1, 2, 3, 10, 65, 257};
constexpr int64_t kMaxInterpretedEntries = 1 << 16;

struct Case {
  int64_t depth;
  int64_t n_codebooks;

  bool is_large() const { return depth > kShallow || n_codebooks > kFew; }
};

// One model of a case, and how many rows it is called with: a third of all counts, drawn by its seed.
struct Trial {
  uint64_t seed;
  testing::Shape shape;
  testing::Entries tables;
  bool is_structured;
  std::vector<int64_t> row_counts;
};

std::vector<int64_t> draw_row_counts(uint64_t seed) {
  constexpr size_t kDrawn = std::size(kRowCounts) / 3;
  std::mt19937_64 rng(seed);
  std::vector<int64_t> result(std::begin(kRowCounts), std::end(kRowCounts));
  for (size_t i = 0; i < kDrawn; ++i) std::swap(result[i], result[i + rng() % (result.size() - i)]);
  result.resize(kDrawn);
  return result;
}

std::vector<Trial> trials(const Case& c) {
  std::vector<Trial> result;
  uint64_t seed = 1000 * c.depth + c.n_codebooks;
  for (const int64_t n_features : c.is_large() ? std::span<const int64_t>(kFeaturesOfLarge) : kFeatures) {
    for (const int64_t n_outputs : c.is_large() ? std::span<const int64_t>(kOutputsOfLarge) : kOutputs) {
      ++seed;
      const bool largest = c.depth > kShallow && c.n_codebooks > kFew && n_outputs > kOutputsOfLarge[0];
      if (largest && seed % 5 < 2) continue;
      const testing::Shape shape{n_features, n_outputs, c.n_codebooks, c.depth};
      result.push_back({seed, shape, static_cast<testing::Entries>(seed % 3), seed % 4 == 3, draw_row_counts(seed)});
    }
  }
  return result;
}

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

  void check(const Trial& trial) {
    const auto make_model = trial.is_structured ? testing::structured_model : testing::random_model;
    const Model model = make_model(trial.seed, trial.shape, trial.tables);
    const int64_t max_rows = *std::max_element(trial.row_counts.begin(), trial.row_counts.end());
    const testing::CallChecker checker(model, trial.seed, max_rows);
    const std::vector<Kernel> all = kernels(model);
    for (const int64_t n : trial.row_counts) {
      checker.check(all, n);
      if (HasFailure()) return;
    }
  }
};

TEST_P(KernelSweep, BackendsAgreeWithReference) {
  for (const Trial& trial : trials(GetParam())) {
    check(trial);
    if (HasFailure()) return;
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

// What the draws leave out of a model's calls is called with others: every row count meets every depth, number of
// codebooks, of columns and of outputs, and every kind of tables and trees.
TEST(KernelSweepCoverage, EveryRowCountMeetsEveryShape) {
  for (const int64_t n : kRowCounts) {
    std::set<std::pair<std::string, int64_t>> met;
    for (const Case& c : cases()) {
      for (const Trial& trial : trials(c)) {
        if (std::find(trial.row_counts.begin(), trial.row_counts.end(), n) == trial.row_counts.end()) continue;
        met.insert({"depth", 1000 * c.depth + c.n_codebooks});
        met.insert({"features", trial.shape.n_features});
        met.insert({"outputs", 1000 * c.is_large() + trial.shape.n_outputs});
        met.insert({"tables", 2 * static_cast<int64_t>(trial.tables) + trial.is_structured});
      }
    }
    EXPECT_EQ(met.size(),
              cases().size() + std::size(kFeatures) + std::size(kOutputs) + std::size(kOutputsOfLarge) + 3 * 2)
        << n << " rows";
  }
}

// Every segment of sixteen leaves, the last leaf and the first.
TEST(KernelSweepCoverage, RowsReachDeepLeaves) {
  constexpr int64_t kRows = 1000;
  const Model model = testing::random_model(8016, {512, 1, 16, HashTrees::kMaxDepth});
  std::mt19937_64 rng(8016);
  const std::vector<float> input = testing::random_input(rng, kRows * 512);
  std::vector<uint8_t> codes(kRows * 16);
  reference_codes(model.encoder(), row_major(input.data(), kRows, 512), row_major(codes.data(), kRows, 16));
  std::vector<int> rows(256), segments(16);
  for (const uint8_t code : codes) ++rows[code], ++segments[code / 16];
  EXPECT_GT(*std::min_element(segments.begin(), segments.end()), 100);
  EXPECT_GT(std::min({rows[0], rows[1], rows[254], rows[255]}), 0);
}

}  // namespace
}  // namespace mithral
