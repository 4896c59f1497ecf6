// Candidates of a schedule: that all of them compute the same, that measuring chooses among them, and that a kernel
// tells. Which is fastest is not tested: no test times anything.
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "codegen/model/error.h"
#include "codegen/model/reference.h"
#include "jit/emit.h"
#include "runtime/executable.h"
#include "runtime/host.h"
#include "runtime/kernel.h"
#include "runtime/tune.h"
#include "tests/support/random.h"

namespace mithral {
namespace {

const std::vector<testing::Shape> kShapes = {{20, 13, 9, 4}, {100, 70, 33, 4}, {30, 100, 5, 7}, {27, 2, 1, 1},
                                             {40, 5, 33, 4}, {40, 5, 63, 4},   {40, 5, 64, 4}};
constexpr int64_t kRows = 301;

std::vector<codegen::Schedule> schedules_of(const Model& model, const Target& target) {
  std::vector<codegen::Schedule> result;
  for (codegen::Candidate& candidate : codegen::list_candidates(model, target).schedules) {
    result.push_back(std::move(candidate.schedule));
  }
  return result;
}

class CandidatesOfIsa : public ::testing::TestWithParam<Isa> {};
INSTANTIATE_TEST_SUITE_P(Isas, CandidatesOfIsa, ::testing::ValuesIn(all_isas()),
                         [](const auto& parameter) { return std::string(isa_name(parameter.param)); });

TEST_P(CandidatesOfIsa, ComputeTheSame) {
  const Target target = target_for(GetParam());
  for (const testing::Shape& shape : kShapes) {
    const Model model = testing::random_model(3, shape);
    std::mt19937_64 rng(4);
    const std::vector<float> input = testing::random_input(rng, kRows * shape.n_features);
    const auto x = row_major(input.data(), kRows, shape.n_features);
    std::vector<float> expected(kRows * shape.n_outputs), got(expected.size());
    reference(model, x, row_major(expected.data(), kRows, shape.n_outputs));
    for (const codegen::Candidate& candidate : codegen::list_candidates(model, target).schedules) {
      const Backend backend = host_runs(target.isa) ? Backend::kJit : Backend::kInterpreter;
      const Executable executable(model, Activation::kNone, backend, target, candidate.schedule);
      executable.executor.outputs(x, row_major(got.data(), kRows, shape.n_outputs));
      EXPECT_EQ(std::memcmp(got.data(), expected.data(), 4 * got.size()), 0) << candidate.name;
    }
  }
}

TEST_P(CandidatesOfIsa, AreListedOnceAndRefusedWithAReason) {
  const Target target = target_for(GetParam());
  for (const testing::Shape& shape : kShapes) {
    const codegen::Candidates listed = codegen::list_candidates(testing::random_model(3, shape), target);
    std::set<std::string> names;
    double last = 0;
    for (const codegen::Candidate& candidate : listed.schedules) {
      EXPECT_TRUE(names.insert(candidate.name).second) << candidate.name;
      EXPECT_GE(candidate.row_seconds, last) << "the fastest expected comes first";
      last = candidate.row_seconds;
    }
    EXPECT_TRUE(names.contains(codegen::kAsChosen));
    for (const codegen::RefusedCandidate& refused : listed.refused) {
      EXPECT_TRUE(names.insert(refused.name).second) << refused.name;
      EXPECT_FALSE(refused.reason.empty()) << refused.name;
    }
  }
}

// Registers are counted by formula where a schedule is chosen, and by liveness where code is emitted: what the first
// allows, the second must have.
TEST_P(CandidatesOfIsa, CanBeEmittedForAnyNumberOfGroups) {
  const Target target = target_for(GetParam());
  for (const int64_t depth : {1, 4, 5}) {
    for (int64_t n_codebooks = 1; n_codebooks <= 66; n_codebooks += depth == 4 ? 1 : 5) {
      const auto tables = n_codebooks % 3 == 0 ? testing::Entries::kMixed : testing::Entries::kAny;
      const Model model = testing::random_model(n_codebooks, {8, 2, n_codebooks, depth}, tables);
      for (const codegen::Schedule& schedule : schedules_of(model, target)) {
        const codegen::LoweredModel lowered = codegen::lower(model, schedule, target);
        for (const codegen::RoutineKind kind : codegen::kRoutineKinds) {
          EXPECT_NO_THROW(jit::emit(codegen::lower_routine({kind}, lowered))) << n_codebooks << " codebooks, " << depth;
        }
      }
    }
  }
}

TEST(ExpectedRow, GrowsWithTheWork) {
  const Target target = target_for(Isa::kAvx2);
  const auto seconds = [&](const testing::Shape& shape) {
    const Model model = testing::random_model(5, shape);
    return codegen::expected_row_seconds(model, codegen::choose_schedule(model, target), target);
  };
  EXPECT_LT(seconds({64, 10, 16, 4}), seconds({64, 10, 32, 4}));
  EXPECT_LT(seconds({64, 10, 16, 4}), seconds({64, 20, 16, 4}));
  EXPECT_LT(seconds({64, 100, 16, 4}), seconds({64, 200, 16, 4}));
  EXPECT_LT(seconds({64, 10, 16, 4}), seconds({64, 10, 16, 6}));
}

TEST(ExpectedRow, DeepTreesAreBetterAccumulated) {
  const Target target = target_for(Isa::kAvx2);
  const Model model = testing::random_model(6, {64, 32, 16, 8});
  codegen::Schedule shuffles = codegen::choose_schedule(model, target), rows = shuffles;
  shuffles.accumulate.min_outputs = 1000, rows.accumulate.min_outputs = 1;
  EXPECT_LT(codegen::expected_row_seconds(model, rows, target), codegen::expected_row_seconds(model, shuffles, target));
}

TEST(Measuring, ChoosesAmongTheMeasured) {
  if (!best_isa()) GTEST_SKIP() << "this CPU runs no emitted code";
  const Model model = testing::random_model(7, {64, 60, 16, 4});
  const Tuning tuning = measure_schedules(model, host_target(*best_isa()), Activation::kNone);
  ASSERT_LT(tuning.chosen, tuning.candidates.size());
  EXPECT_TRUE(tuning.candidates[tuning.chosen].row_seconds.has_value());
  EXPECT_GT(tuning.n_rows, 0);
  int n_measured = 0;
  for (const MeasuredCandidate& measured : tuning.candidates) {
    if (measured.row_seconds) {
      EXPECT_GT(*measured.row_seconds, 0) << measured.candidate.name;
    }
    n_measured += measured.row_seconds.has_value();
    EXPECT_TRUE(measured.row_seconds || measured.candidate.name != codegen::kAsChosen);
  }
  EXPECT_GE(n_measured, 2) << "one has nothing to be compared with";
}

TEST(Describe, SaysWhatWasChosenAndWhatWasMeasured) {
  const Model model = testing::random_model(8, {64, 100, 16, 4});
  const std::string by_rule = compile(model, {.isa = Isa::kAvx2}).describe();
  EXPECT_NE(by_rule.find("rows are accumulated"), std::string::npos) << by_rule;
  EXPECT_NE(by_rule.find("none was measured"), std::string::npos) << by_rule;
  EXPECT_NE(by_rule.find("refused: codes of four rows to a lane: "), std::string::npos) << by_rule;
  EXPECT_EQ(by_rule.find("use the exact product"), std::string::npos) << by_rule;
  const std::string tiny = compile(testing::random_model(8, {27, 2, 32, 4}), {.isa = Isa::kAvx2}).describe();
  EXPECT_NE(tiny.find("use the exact product"), std::string::npos) << tiny;

  if (!best_isa()) GTEST_SKIP() << "this CPU runs no emitted code";
  const std::string measured = compile(model, {.tune = Tune::kMeasure}).describe();
  EXPECT_NE(measured.find("made-up rows"), std::string::npos) << measured;
}

TEST(Tune, IsOnlyForWhatCanBeMeasured) {
  const Model model = testing::random_model(9, {8, 4, 2, 2});
  EXPECT_THROW(compile(model, {.backend = Backend::kGeneric, .tune = Tune::kMeasure}), InvalidArgument);
  EXPECT_THROW(compile(model, {.backend = Backend::kInterpreter, .tune = Tune::kMeasure}), InvalidArgument);
  EXPECT_EQ(tune_from_name("measure"), Tune::kMeasure);
  EXPECT_EQ(tune_from_name("rules"), Tune::kRules);
  EXPECT_THROW(tune_from_name("fast"), InvalidArgument);
}

}  // namespace
}  // namespace mithral
