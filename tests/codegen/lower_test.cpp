// What lowering decides: which splits and columns are left, and that no schedule changes a result.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "codegen/encode/trees/lower_trees.h"
#include "codegen/encode/trees/tree_structure.h"
#include "codegen/lower.h"
#include "codegen/model/error.h"
#include "codegen/model/reference.h"
#include "runtime/executable.h"
#include "runtime/host.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace mithral::codegen {
namespace {

using testing::kInfinity;
using Kind = TreeLevel::Kind;

const Target kTarget = target_for(Isa::kAvx2);

// One codebook of depth 3 that splits on columns 5, 2, 7 with these thresholds.
Model one_tree(std::vector<float> thresholds) {
  return Model(testing::ModelArrays{.n_features = 8,
                                    .n_outputs = 1,
                                    .n_codebooks = 1,
                                    .depth = 3,
                                    .split_dims = {5, 2, 7},
                                    .thresholds = std::move(thresholds),
                                    .lut = {1, 2, 3, 4, 5, 6, 7, 8},
                                    .scale = {1},
                                    .offset = {0}});
}

TEST(TreeStructure, KeepsLiveLevels) {
  const TreeStructure trees = analyse_trees(one_tree({0, 1, 2, 3, 4, 5, 6}).trees());
  EXPECT_EQ(trees.columns, (std::vector<int32_t>{2, 5, 7}));
  EXPECT_EQ(trees.trees[0][0].kind, Kind::kUniform);
  EXPECT_EQ(trees.trees[0][0].column, 1);
  EXPECT_EQ(trees.trees[0][1].kind, Kind::kTable);
  EXPECT_EQ(trees.trees[0][2].thresholds, (std::vector<float>{3, 4, 5, 6}));
}

TEST(TreeStructure, DropsLevelsThatNeverSplit) {
  const TreeStructure trees = analyse_trees(one_tree({0, kInfinity, kInfinity, 3, 4, 5, 6}).trees());
  EXPECT_EQ(trees.trees[0][1].kind, Kind::kDead);
  EXPECT_EQ(trees.columns, (std::vector<int32_t>{5, 7})) << "a dead level's column is still read";
  // Nothing goes right of the second level, so only nodes 0 and 2 of the third are reached; they agree.
  EXPECT_EQ(analyse_trees(one_tree({0, kInfinity, kInfinity, 3, 99, 3, 99}).trees()).trees[0][2].kind, Kind::kUniform);
}

TEST(TreeStructure, MergesEqualThresholds) {
  EXPECT_EQ(analyse_trees(one_tree({0, 2, 2, 3, 3, 3, 3}).trees()).trees[0][1].kind, Kind::kUniform);
  EXPECT_EQ(analyse_trees(one_tree({0, 2, 2, 3, 3, 3, 3}).trees()).trees[0][2].kind, Kind::kUniform);
}

TEST(TreeStructure, TreeWithoutSplitsReadsNothing) {
  const TreeStructure trees = analyse_trees(one_tree(std::vector<float>(7, kInfinity)).trees());
  EXPECT_TRUE(trees.columns.empty());
}

// Depth 5, for the 16 nodes of its last level: their thresholds, and how often the encoder permutes for them.
int64_t permutations_of_last_level(const std::vector<float>& last) {
  testing::ModelArrays a{.n_features = 5,
                         .n_outputs = 1,
                         .n_codebooks = 1,
                         .depth = 5,
                         .split_dims = {0, 1, 2, 3, 4},
                         .thresholds = std::vector<float>(15),  // uniform levels
                         .lut = std::vector<uint8_t>(32),
                         .scale = {1},
                         .offset = {0}};
  a.thresholds.insert(a.thresholds.end(), last.begin(), last.end());
  const CodeLayout kLayout{CodeLayout::Packing::kFourRows, kTarget.lanes(), 1};
  const Program program = lower_trees(analyse_trees(Model(a).trees()), kLayout, kTarget, InputType::kFloat32);
  constexpr int64_t kGroups = 4;
  return std::count_if(program.ops.begin(), program.ops.end(),
                       [](const Op& op) { return op.code == Opcode::permute_all_m; }) /
         kGroups;
}

TEST(Encode, LooksUpOnlyWhatDiffers) {
  std::vector<float> last(16);
  std::iota(last.begin(), last.end(), 0.0f);
  EXPECT_EQ(permutations_of_last_level(last), 2);
  std::fill(last.begin() + 1, last.begin() + 9, 7.0f);  // the slots of nodes 1 to 8 are one run of eight
  EXPECT_EQ(permutations_of_last_level(last), 1);
  std::fill(last.begin() + 9, last.end(), 5.0f);
  last[0] = 5.0f;
  EXPECT_EQ(permutations_of_last_level(last), 0);
}

// The programs of a model's routines, of trees and of codes that are given, for all ISAs.
template <typename Visit>
void for_programs(Visit&& visit) {
  const Model trees = testing::random_model(7, {9, 50, 5, 5});
  for (const Model& model : {trees, testing::given_codes(trees)}) {
    for (const Isa isa : all_isas()) {
      const LoweredModel lowered = lower(model, choose_schedule(model, target_for(isa)), target_for(isa));
      for (const RoutineId& id : routines_of(lowered)) visit(model, id, lower_routine(id, lowered));
    }
  }
}

TEST(Routines, ReadArgumentsThatTheirStructHas) {
  for_programs([](const Model&, const RoutineId& id, const Program& program) {
    const std::span<const char* const> names = argument_names(id.kind);
    EXPECT_EQ(program.args, std::vector<std::string>(names.begin(), names.end())) << program.name;
    EXPECT_EQ(program.name, routine_name(id));
    int n_read = 0;
    for (const Op& op : program.ops) {
      if (op.code != Opcode::arg) continue;
      ++n_read;
      EXPECT_GE(op.imm, 0) << program.name;
      EXPECT_LT(op.imm, static_cast<int64_t>(names.size())) << program.name;
      const std::string line = message("arg ", op.imm, "  ; ", names[op.imm], "\n");
      EXPECT_NE(print(program).find(line), std::string::npos) << program.name << ": " << line;
    }
    EXPECT_GT(n_read, 2) << program.name;
  });
}

TEST(Routines, OfGivenCodesReadNoRows) {
  for_programs([](const Model& model, const RoutineId& id, const Program&) {
    const bool reads_rows = id.kind == RoutineKind::kStageRows || id.kind == RoutineKind::kEncode;
    EXPECT_FALSE(reads_rows && model.has_given_codes()) << routine_name(id);
  });
}

std::vector<Schedule> all_kinds_of_schedules(const Model& model, const Target& target) {
  std::vector<Schedule> result = {choose_schedule(model, target)};
  const auto variant = [&](auto change) {
    Schedule schedule = result.front();
    change(schedule);
    result.push_back(schedule);
  };
  variant([](Schedule& s) { s.scan.table_blocks = 1, s.call.chunk_blocks = 1; });
  variant([](Schedule& s) { s.scan.table_blocks = 2, s.call.chunk_blocks = 2; });
  variant([](Schedule& s) { s.scan.tile_outputs = 4; });
  variant([](Schedule& s) { s.scan.tile_outputs = 12; });
  variant([&](Schedule& s) { s.accumulate.min_outputs = 1, s.accumulate.tile_outputs = target.vector_bytes; });
  variant([&](Schedule& s) {
    s.accumulate.min_outputs = 1, s.accumulate.rows = 2 * target.lanes(), s.call.stream_bytes = 0;
  });
  variant([&](Schedule& s) {
    s.accumulate.min_outputs = 1, s.accumulate.tile_outputs = target.vector_bytes,
    s.call.chunk_blocks = s.scan.table_blocks = 2;
    s.call.stream_bytes = 0;
  });
  variant([](Schedule& s) { s.accumulate.min_outputs = 1000; });
  variant([](Schedule& s) { s.scan.compared_outputs = 1, s.scan.selected_outputs = 1; });
  variant([](Schedule& s) {
    s.scan.compared_outputs = 7, s.scan.selected_outputs = 3, s.scan.table_blocks = 1, s.call.chunk_blocks = 1;
  });
  variant([](Schedule& s) { s.scan.compared_outputs = 100, s.call.stream_bytes = 0; });
  variant([](Schedule& s) { s.scan.table_blocks = s.call.chunk_blocks = 1, s.call.stream_bytes = 0; });
  variant([](Schedule& s) { s.stage.rows = s.codes.block_rows(), s.stage.prefetch_rows = 0; });
  variant([](Schedule& s) { s.stage.rows = 3 * s.codes.block_rows(), s.stage.prefetch_rows = 5; });
  variant([](Schedule& s) { s.stage.row_vectors = 0, s.scan.linear_outputs = 1; });
  variant([](Schedule& s) { s.accumulate.linear_rows = 1, s.accumulate.min_outputs = 1; });
  variant([](Schedule& s) {
    s.codes.packing = CodeLayout::Packing::kFourRows, s.stage.rows = 128, s.scan.linear_outputs = 1;
  });
  variant([&](Schedule& s) {
    s.groups.clear();
    for (int c = 0; c < model.n_codebooks(); ++c) s.groups.push_back({c});
    s.scan.table_blocks = s.call.chunk_blocks = 1;
  });
  variant([](Schedule& s) {
    s.codes.packing = CodeLayout::Packing::kFourRows, s.stage.rows = 128, s.scan.linear_outputs = 1;
    s.scan.table_blocks = s.call.chunk_blocks = 1;
  });
  return result;
}

// Trees, and models with linear dims, many of which are side by side.
std::vector<Model> models_of_all_shapes() {
  std::vector<Model> models;
  for (const testing::Shape shape : {testing::Shape{20, 13, 9, 4},
                                     {3, 5, 40, 3},
                                     {100, 1, 3, 2},
                                     {40, 33, 1, 1},
                                     {20, 13, 9, 5},
                                     {30, 5, 12, 6},
                                     {60, 9, 4, 7},
                                     {60, 15, 11, 8}}) {
    models.push_back(testing::random_model(11, shape));
  }
  std::mt19937_64 rng(13);
  for (const testing::Shape shape : {testing::Shape{90, 21, 0, 1}, {90, 70, 0, 1}, {90, 21, 3, 4}}) {
    for (const int64_t n_dims : {20, 75}) {
      testing::ModelArrays arrays = testing::random_arrays(rng, shape);
      arrays.linear = testing::random_linear(rng, n_dims, shape.n_features, shape.n_outputs, testing::Weights::kAny);
      models.push_back(arrays);
    }
  }
  return models;
}

class ScheduleForTarget : public ::testing::TestWithParam<testing::NamedTarget> {};
INSTANTIATE_TEST_SUITE_P(Targets, ScheduleForTarget, ::testing::ValuesIn(testing::isas_and_described_targets()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(ScheduleForTarget, NeverChangesAResult) {
  const Target& target = GetParam().target;
  constexpr int64_t kRows = 139;
  for (const Model& model : models_of_all_shapes()) {
    const struct { int64_t n_features, n_outputs; } shape = {model.n_features(), model.n_outputs()};
    std::mt19937_64 rng(12);
    const std::vector<float> input = testing::random_input(rng, kRows * shape.n_features);
    std::vector<float> expected(kRows * shape.n_outputs);
    const auto x = row_major(input.data(), kRows, shape.n_features);
    reference(model, x, row_major(expected.data(), kRows, shape.n_outputs));

    for (const Schedule& schedule : all_kinds_of_schedules(model, target)) {
      for (const Backend backend : {Backend::kInterpreter, Backend::kJit}) {
        if (backend == Backend::kJit && !testing::host_executes(GetParam())) continue;
        const Executable executable(model, Activation::kNone, backend, target, schedule);
        const Executor& executor = executable.executor;
        std::vector<float> rows(expected.size()), columns(expected.size());
        executor.outputs(x, row_major(rows.data(), kRows, shape.n_outputs));
        EXPECT_EQ(std::memcmp(rows.data(), expected.data(), 4 * rows.size()), 0) << backend_name(backend);
        const auto y = col_major(columns.data(), kRows, shape.n_outputs);
        executor.outputs(x, y);
        std::vector<int64_t> best(kRows);
        executor.argmax(x, col_major(best.data(), kRows, 1));
        const int64_t k = std::min<int64_t>(shape.n_outputs, 3);
        std::vector<float> top(kRows * k);
        std::vector<int64_t> top_outputs(kRows * k);
        executor.top_k(x, row_major(top.data(), kRows, k), row_major(top_outputs.data(), kRows, k));
        for (int64_t i = 0; i < kRows; ++i) {
          const auto scores = expected.begin() + i * shape.n_outputs;
          std::vector<int64_t> order(shape.n_outputs);
          std::iota(order.begin(), order.end(), 0);
          std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
          ASSERT_TRUE(std::equal(order.begin(), order.begin() + k, top_outputs.begin() + i * k)) << i;
          ASSERT_EQ(best[i], std::max_element(scores, scores + shape.n_outputs) - scores) << backend_name(backend);
          for (int64_t m = 0; m < shape.n_outputs; ++m) {
            ASSERT_EQ(std::memcmp(&y(i, m), &expected[i * shape.n_outputs + m], 4), 0) << backend_name(backend);
          }
        }
      }
    }
  }
}

TEST(Schedule, ImpossibleOnesAreRefused) {
  const Model model = testing::random_model(1, {4, 4, 4, 2});
  const auto refused = [&](auto change) {
    Schedule schedule = choose_schedule(model, kTarget);
    change(schedule);
    EXPECT_THROW(lower(model, schedule, kTarget), InternalError);
  };
  refused([](Schedule& s) { s.scan.table_blocks = 3; });
  refused([](Schedule& s) { s.scan.tile_outputs = 6; });
  refused([](Schedule& s) { s.accumulate.tile_outputs = 40; });
  refused([](Schedule& s) { s.accumulate.rows = 4; });
  refused([](Schedule& s) { s.scan.compared_outputs = 0; });
  refused([](Schedule& s) { s.scan.selected_outputs = 0; });
  refused([](Schedule& s) { s.stage.rows = 40; });
  refused([](Schedule& s) { s.call.chunk_blocks = 5; });
  refused([](Schedule& s) { s.stage.prefetch_rows = -1; });
  refused([](Schedule& s) { s.groups.pop_back(); });
}

}  // namespace
}  // namespace mithral::codegen
