// What is gone from a simplified model, that its sums are those of the model it was made from, and that codes stay what
// they were.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <regex>

#include "codegen/encode/trees/tree_structure.h"
#include "codegen/model/reference.h"
#include "codegen/simplify_model.h"
#include "runtime/kernel.h"
#include "tests/support/executors.h"
#include "tests/support/random.h"

namespace mithral {
namespace {

using codegen::RoutineKind;
using codegen::simplify_model;
using testing::kInfinity;
using Kind = codegen::TreeLevel::Kind;

constexpr int64_t kRows = 203, kFeatures = 16;

codegen::TreeStructure analyse_trees(const Model& model) { return codegen::analyse_trees(model.trees()); }

bool share_arrays(const Model& a, const Model& b) {
  return a.trees().shares_arrays_with(b.trees()) && &a.tables().lut() == &b.tables().lut();
}

// Codebooks of these tables (K, M), one after the other, that split on columns 0, 1, 2, ... at 0.
testing::ModelArrays arrays_of(int64_t depth, int64_t n_outputs, const std::vector<std::vector<uint8_t>>& tables) {
  const auto n_codebooks = static_cast<int64_t>(tables.size());
  testing::ModelArrays a{.n_features = kFeatures,
                         .n_outputs = n_outputs,
                         .n_codebooks = n_codebooks,
                         .depth = depth,
                         .split_dims = {},
                         .thresholds = std::vector<float>(n_codebooks * ((1 << depth) - 1)),
                         .lut = {},
                         .scale = std::vector<float>(n_outputs, 1.0f),
                         .offset = std::vector<float>(n_outputs, 0.0f)};
  for (int64_t i = 0; i < n_codebooks * depth; ++i) a.split_dims.push_back(static_cast<int32_t>(i % kFeatures));
  for (const auto& table : tables) a.lut.insert(a.lut.end(), table.begin(), table.end());
  return a;
}

std::vector<float> outputs_of(const Model& model, MatrixView<const float> x) {
  std::vector<float> y(x.rows * model.n_outputs());
  reference(model, x, row_major(y.data(), x.rows, model.n_outputs()));
  return y;
}

// By the model's definition. Scales of 1 and offsets of 0 make float32 outputs of them, exactly.
std::vector<float> sums_of(const Model& model, MatrixView<const float> x) {
  testing::ModelArrays arrays = testing::arrays_of(model);
  std::fill(arrays.scale.begin(), arrays.scale.end(), 1.0f);
  std::fill(arrays.offset.begin(), arrays.offset.end(), 0.0f);
  return outputs_of(Model(std::move(arrays)), x);
}

bool same_bytes(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The simplified model, of whose sums some rows were compared.
Model simplified(const Model& model) {
  std::mt19937_64 rng(1);
  const std::vector<float> input = testing::random_input(rng, kRows * model.n_features());
  const auto x = row_major(input.data(), kRows, model.n_features());
  Model result = simplify_model(model);
  EXPECT_EQ(sums_of(result, x), sums_of(model, x));
  return result;
}

int count(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  return static_cast<int>(std::distance(std::sregex_iterator(text.begin(), text.end(), regex), std::sregex_iterator()));
}

// The text of one routine for AVX2.
std::string routine(const Model& model, RoutineKind kind) {
  const Target target = target_for(Isa::kAvx2);
  const auto lowered = codegen::lower(model, codegen::choose_schedule(model, target), target);
  return codegen::print(codegen::lower_routine({kind}, lowered));
}

TEST(SimplifyModel, CodebooksOfZerosAreGone) {
  const Model model(arrays_of(1, 1, {{0, 0}, {3, 4}, {0, 0}, {5, 2}}));
  const Model simple = simplified(model);
  EXPECT_EQ(simple.n_codebooks(), 2);
  EXPECT_EQ(simple.tables().lut(), (std::vector<uint8_t>{3, 4, 5, 2}));
  EXPECT_EQ(analyse_trees(simple).columns, (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(count(routine(model, RoutineKind::kEncode), "less_f32"), 4 * 4) << "of four rows' vectors each";
  EXPECT_EQ(count(routine(simple, RoutineKind::kEncode), "less_f32"), 2 * 4);
  EXPECT_EQ(count(routine(simple, RoutineKind::kScanToColumns), "lookup_16") * 2,
            count(routine(model, RoutineKind::kScanToColumns), "lookup_16"));
}

TEST(SimplifyModel, AConstantThatIsNotZeroStays) {
  const Model simple = simplified(Model(arrays_of(1, 1, {{55, 3}, {200, 200}})));
  EXPECT_EQ(simple.tables().lut(), (std::vector<uint8_t>{55, 3, 200, 200}));
  EXPECT_EQ(analyse_trees(simple).columns, (std::vector<int32_t>{0})) << "nothing is read for it";
}

TEST(SimplifyModel, OneCodebookIsLeft) {
  const Model zeros = simplified(Model(arrays_of(4, 3, {std::vector<uint8_t>(48), std::vector<uint8_t>(48)})));
  EXPECT_EQ(zeros.n_codebooks(), 1);
  EXPECT_EQ(zeros.trees().depth(), 1);
  EXPECT_TRUE(analyse_trees(zeros).columns.empty());
}

TEST(SimplifyModel, LeavesThatRepeatAnotherEndASplit) {
  // The first split has no effect where the second goes left, and the second none anywhere right of the first.
  const Model model(arrays_of(2, 2, {{1, 2, 3, 4, 1, 2, 1, 2}}));
  EXPECT_EQ(analyse_trees(simplified(model)).columns.size(), 2u);
  const Model second_only(arrays_of(2, 2, {{1, 2, 3, 4, 1, 2, 3, 4}}));
  EXPECT_EQ(analyse_trees(simplified(second_only)).columns, (std::vector<int32_t>{1}));
  EXPECT_EQ(simplified(second_only).tables().lut(), (std::vector<uint8_t>{1, 2, 3, 4}));
  const Model first_only(arrays_of(2, 2, {{1, 2, 1, 2, 3, 4, 3, 4}}));
  EXPECT_EQ(analyse_trees(simplified(first_only)).columns, (std::vector<int32_t>{0}));
  EXPECT_EQ(count(routine(first_only, RoutineKind::kEncode), "less_f32"), 2 * 4);
  EXPECT_EQ(count(routine(simplified(first_only), RoutineKind::kEncode), "less_f32"), 4);
}

TEST(SimplifyModel, EqualSubtreesNeedEqualSplits) {
  testing::ModelArrays a = arrays_of(2, 1, {{1, 2, 1, 2}});
  EXPECT_EQ(simplified(Model(a)).trees().depth(), 1);
  a.thresholds = {0, 1, 2};
  EXPECT_EQ(simplified(Model(a)).trees().depth(), 2);
  a.thresholds = {0, 1, kInfinity};  // goes left to 1 in either
  EXPECT_EQ(simplified(Model(a)).trees().depth(), 2);
}

TEST(SimplifyModel, ASplitWithoutEffectTakesTheThresholdOfItsLevel) {
  testing::ModelArrays a = arrays_of(2, 1, {{1, 2, 3, 3}});
  a.thresholds = {0, 5, 9};
  EXPECT_EQ(analyse_trees(Model(a)).trees[0][1].kind, Kind::kTable);
  EXPECT_EQ(analyse_trees(simplified(Model(a))).trees[0][1].kind, Kind::kUniform);
  a.thresholds = {0, 5, kInfinity};
  EXPECT_EQ(analyse_trees(Model(a)).trees[0][1].kind, Kind::kTable);
  EXPECT_EQ(analyse_trees(simplified(Model(a))).trees[0][1].kind, Kind::kUniform);
}

TEST(SimplifyModel, IsAsDeepAsItsDeepestCodebook) {
  testing::ModelArrays a = arrays_of(3, 1, {{1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 3, 4, 5, 6, 7, 8}});
  a.thresholds = {kInfinity, 1, 2, 3,         4, 5,         6,           // no first level: 1 2 3 4
                  0,         1, 2, kInfinity, 3, kInfinity, kInfinity};  // half of a third: three levels
  const Model three = simplified(Model(a));
  EXPECT_EQ(three.trees().depth(), 3);
  EXPECT_EQ(three.tables().lut(), (std::vector<uint8_t>{1, 2, 3, 4, 1, 2, 3, 4, 1, 1, 3, 4, 5, 5, 7, 7}));
  a.thresholds[11] = kInfinity;  // no third level
  const Model two = simplified(Model(a));
  EXPECT_EQ(two.trees().depth(), 2);
  EXPECT_EQ(two.tables().lut(), (std::vector<uint8_t>{1, 2, 3, 4, 1, 3, 5, 7}));
  EXPECT_EQ(two.trees().split_dims(), (std::vector<int32_t>{1, 2, 3, 4}));
}

TEST(SimplifyModel, EntriesOfLeavesThatNoRowGetsToDoNotCount) {
  testing::ModelArrays a = arrays_of(2, 1, {{1, 2, 3, 250}, {1, 2, 3, 250}});
  a.thresholds = {0, 1, kInfinity, 0, 1, kInfinity};
  const auto n_groups = [](const Model& model) {
    return codegen::group_codebooks(entry_ranges(model.tables())).size();
  };
  EXPECT_EQ(n_groups(Model(a)), 2u);
  EXPECT_EQ(n_groups(simplified(Model(a))), 1u);
}

TEST(SimplifyModel, ReturnsWhatCannotBeSimplerItself) {
  const Model model = testing::random_model(1, {kFeatures, 9, 5, 4}, testing::Entries::kAny);
  const Model simple = simplify_model(model);
  EXPECT_TRUE(share_arrays(simplify_model(simple), simple));
  const Model plain(arrays_of(2, 1, {{1, 2, 3, 4}}));
  EXPECT_TRUE(share_arrays(simplify_model(plain), plain));
  const Model given = testing::given_codes(plain);
  EXPECT_EQ(&simplify_model(given).tables().lut(), &given.tables().lut());
}

TEST(SimplifyModel, KernelsSayWhatTheyLeaveOut) {
  const Model model(arrays_of(2, 1, {{0, 0, 0, 0}, {3, 4, 3, 4}, {1, 2, 3, 4}}));
  const std::string text = compile(model, {.isa = Isa::kAvx2}).describe();
  EXPECT_NE(text.find("3 codebooks of 4 entries"), std::string::npos) << text;
  EXPECT_TRUE(std::regex_search(text, std::regex("left out +1 codebooks"))) << text;
}

// Trees, tables and shapes of all kinds, with parts that repeat others.
Model repetitive_model(uint64_t seed, int64_t depth) {
  std::mt19937_64 rng(seed);
  const testing::Shape shape{kFeatures, 1 + static_cast<int64_t>(seed) % 4, 1 + static_cast<int64_t>(seed) % 9, depth};
  testing::ModelArrays a = testing::random_arrays(rng, shape, static_cast<testing::Entries>(seed % 3));
  if (seed % 2 == 0) testing::structure_trees(rng, a);
  if (seed % 5 == 0) {
    for (uint8_t& entry : a.lut) entry %= 2;
  }
  testing::repeat_leaves(rng, a);
  return Model(std::move(a));
}

class SimplifiedModels : public ::testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Depths, SimplifiedModels, ::testing::Range(int64_t{1}, HashTrees::kMaxDepth + 1));

TEST_P(SimplifiedModels, HaveTheSameSums) {
  int n_changed = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Model model = repetitive_model(seed, GetParam());
    n_changed += share_arrays(simplified(model), model) ? 0 : 1;
    if (HasFailure()) FAIL() << "seed " << seed;
  }
  EXPECT_GT(n_changed, 200);
}

TEST_P(SimplifiedModels, HaveTheSameOutputsInEverythingThatExecutesThem) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Model model = repetitive_model(seed, GetParam());
    std::mt19937_64 rng(seed);
    const std::vector<float> input = testing::random_input(rng, kRows * kFeatures);
    const auto x = row_major(input.data(), kRows, kFeatures);
    const std::vector<float> expected = outputs_of(model, x);
    const testing::Executors executors(simplify_model(model));
    for (const auto& [name, executor] : executors.all()) {
      std::vector<float> y(expected.size());
      executor->outputs(x, row_major(y.data(), kRows, model.n_outputs()));
      EXPECT_TRUE(same_bytes(y, expected)) << name << ", seed " << seed;
    }
  }
}

TEST_P(SimplifiedModels, KernelsReturnTheCodesOfTheModelAsGiven) {
  for (const Backend backend : {Backend::kJit, Backend::kGeneric, Backend::kInterpreter}) {
    for (uint64_t seed = 0; seed < 10; ++seed) {
      const Model model = repetitive_model(seed, GetParam());
      std::mt19937_64 rng(seed);
      const std::vector<float> input = testing::random_input(rng, kRows * kFeatures);
      const auto x = row_major(input.data(), kRows, kFeatures);
      const Kernel kernel = compile(model, {.backend = backend});
      EXPECT_TRUE(share_arrays(kernel.model(), model));
      std::vector<float> y(kRows * model.n_outputs());
      kernel(x, row_major(y.data(), kRows, model.n_outputs()));
      EXPECT_TRUE(same_bytes(y, outputs_of(model, x))) << backend_name(backend) << ", seed " << seed;
      std::vector<uint8_t> codes(kRows * model.n_codebooks()), expected(codes.size());
      reference_codes(model.encoder(), x, row_major(expected.data(), kRows, model.n_codebooks()));
      kernel.encode(x, row_major(codes.data(), kRows, model.n_codebooks()));
      EXPECT_EQ(codes, expected) << backend_name(backend) << ", seed " << seed;
    }
  }
}

}  // namespace
}  // namespace mithral
