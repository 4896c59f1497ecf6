// The cost model: that it grows with the work, knows what it counts, and is right about measured calls by their order
// of magnitude. How exact it is, a benchmark tells; no test times anything.
#include <gtest/gtest.h>

#include <random>

#include "codegen/model/error.h"
#include "codegen/plan/estimate.h"
#include "tests/support/random.h"

namespace mithral {
namespace {

const Target kTarget = target_for(Isa::kAvx2);

double kernel_seconds(const ModelShape& shape, int64_t n_rows, InputOrder order = InputOrder::kRowMajor) {
  return estimate(shape, n_rows, kTarget, order).kernel;
}

double exact_seconds(int64_t n_features, int64_t n_outputs, int64_t n_rows) {
  return estimate(expected_shape(n_features, n_outputs, 16, 4), n_rows, kTarget).exact;
}

TEST(Estimate, GrowsWithEveryKindOfWork) {
  const double seconds = kernel_seconds(expected_shape(512, 100, 16, 4), 10000);
  EXPECT_GT(kernel_seconds(expected_shape(512, 100, 17, 4), 10000), seconds);
  EXPECT_GT(kernel_seconds(expected_shape(512, 101, 16, 4), 10000), seconds);
  EXPECT_GT(kernel_seconds(expected_shape(513, 100, 16, 4), 10000), seconds);
  EXPECT_GT(kernel_seconds(expected_shape(512, 100, 16, 4), 10100), seconds);
  EXPECT_LT(kernel_seconds(expected_shape(512, 100, 16, 3), 10000), seconds);
  EXPECT_LT(kernel_seconds(expected_shape(512, 100, 16, 4), 10000, InputOrder::kColumnMajor), seconds);

  const double exact = exact_seconds(512, 100, 10000);
  EXPECT_GT(exact_seconds(513, 100, 10000), exact);
  EXPECT_GT(exact_seconds(512, 101, 10000), exact);
  EXPECT_GT(exact_seconds(512, 100, 10001), exact);
}

TEST(Estimate, EncodesWholeBlocks) {
  const ModelShape shape = expected_shape(64, 1, 64, 4);
  const double empty = kernel_seconds(shape, 0), one = kernel_seconds(shape, 1);
  const double block = kernel_seconds(shape, 32);
  EXPECT_GT(empty, 0);
  EXPECT_GT(one, empty);
  EXPECT_LT(block - one, one - empty);
}

TEST(Estimate, ColumnMajorInputDoesNotDependOnUnusedColumns) {
  EXPECT_EQ(kernel_seconds(expected_shape(512, 10, 8, 4), 1000, InputOrder::kColumnMajor),
            kernel_seconds(expected_shape(8, 10, 8, 4), 1000, InputOrder::kColumnMajor));
}

TEST(Estimate, BetterIsasTakeLessTime) {
  const auto times = [](int64_t depth) {
    std::vector<double> result;
    for (const Isa isa : all_isas()) {
      result.push_back(estimate(expected_shape(512, 100, 16, depth), 10000, target_for(isa)).kernel);
    }
    return result;
  };
  const std::vector<double> shallow = times(4), deep = times(8);
  EXPECT_GT(shallow[0], shallow[1]);
  EXPECT_GT(shallow[1], shallow[2]);
  EXPECT_EQ(shallow[2], shallow[3]);
  EXPECT_GT(deep[2], deep[3]) << "tables of 256 entries are looked up in four registers instead of sixteen segments";
}

TEST(Estimate, IsOfTheOrderOfMeasuredTimes) {
  struct Measured {
    int64_t n, d, m, c;
    double row_major, column_major, exact;  // nanoseconds a row, on an idle Ice Lake server of 2.8 GHz
  };
  const Measured rows[] = {
      {10000, 512, 10, 16, 102, 12.7, 384},   {10000, 512, 100, 16, 172, 59, 1059},
      {49284, 27, 2, 16, 8.9, 5.9, 7.7},      {16384, 64, 64, 16, 44.7, 36, 81.4},
      {10240, 512, 512, 16, 1032, 833, 4129}, {10000, 2048, 32, 4, 100, 13, 2079},
      {100000, 128, 128, 16, 221, 193, 377},  {10000, 512, 10, 64, 204, 43, 384},
      {1, 512, 1000, 16, 2600, 2600, 85336},
  };
  for (const Measured& row : rows) {
    const ModelShape shape = expected_shape(row.d, row.m, row.c, 4);
    const double ns = 1e-9 * static_cast<double>(row.n);
    const auto near = [&](double estimated, double measured, const char* what) {
      EXPECT_LT(estimated, 3 * measured * ns) << what << ", " << row.n << " x " << row.d << " x " << row.m;
      EXPECT_GT(estimated, measured * ns / 3) << what << ", " << row.n << " x " << row.d << " x " << row.m;
    };
    near(estimate(shape, row.n, kTarget).kernel, row.row_major, "row-major");
    near(estimate(shape, row.n, kTarget, InputOrder::kColumnMajor).kernel, row.column_major, "column-major");
    near(estimate(shape, row.n, kTarget).exact, row.exact, "exact");
  }
}

TEST(Estimate, SaysWhenTheExactProductIsFaster) {
  for (const int64_t codebooks : {8, 16, 32, 64}) {
    for (const InputOrder order : {InputOrder::kRowMajor, InputOrder::kColumnMajor}) {
      const TimeEstimate small = estimate(expected_shape(27, 2, codebooks, 4), 49284, kTarget, order);
      EXPECT_GT(small.kernel, small.exact) << codebooks << " codebooks";
    }
  }
  const TimeEstimate large = estimate(expected_shape(1024, 1024, 16, 4), 10240, kTarget);
  EXPECT_LT(large.kernel, large.exact / 5);
}

TEST(ShapeOf, CountsTheLinesThatTheTreesRead) {
  std::mt19937_64 rng(1);
  testing::ModelArrays arrays =
      testing::random_arrays(rng, {.n_features = 100, .n_outputs = 3, .n_codebooks = 2, .depth = 2});
  arrays.thresholds.assign(arrays.thresholds.size(), 0);
  arrays.split_dims = {0, 15, 16, 99};
  EXPECT_EQ(shape_of(Model(arrays)).n_lines, 3);
  arrays.thresholds[3] = testing::kInfinity;  // the second tree's root: the column it compares is not read
  EXPECT_EQ(shape_of(Model(arrays)).n_lines, 2);

  const ModelShape shape = shape_of(Model(arrays));
  EXPECT_EQ(shape.n_features, 100);
  EXPECT_EQ(shape.n_outputs, 3);
  EXPECT_EQ(shape.n_codebooks, 2);
  EXPECT_EQ(shape.depth, 2);
  EXPECT_EQ(shape.n_entries, 4);
}

TEST(ShapeOf, GivenCodesCostTheirLookupsButNoEncoding) {
  const Model trees = testing::random_model(2, {.n_features = 30, .n_outputs = 100, .n_codebooks = 8, .depth = 8});
  const ModelShape shape = shape_of(testing::given_codes(trees));
  EXPECT_EQ(shape.depth, 0);
  EXPECT_EQ(shape.n_entries, 256);
  const Target target = target_for(Isa::kAvx2);
  const double given = estimate(shape, 10000, target).kernel, whole = estimate(shape_of(trees), 10000, target).kernel;
  EXPECT_LT(given, whole);
  EXPECT_GT(given, 0.5 * whole) << "tables of 256 entries are what costs";
}

TEST(ExpectedShape, SpreadsTheSplitsByChance) {
  EXPECT_EQ(expected_shape(16, 1, 1, 1).n_lines, 1);
  EXPECT_NEAR(expected_shape(17, 1, 1, 1).n_lines, 1, 1e-12);
  EXPECT_NEAR(expected_shape(32, 1, 1, 2).n_lines, 1.5, 1e-12);
  EXPECT_NEAR(expected_shape(512, 1, 256, 4).n_lines, 32, 1e-9);
}

TEST(ExpectedShape, RefusesSizesThatNoModelHas) {
  const auto rejection = [](int64_t d, int64_t m, int64_t c, int64_t l) -> std::string {
    try {
      expected_shape(d, m, c, l);
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(rejection(0, 1, 1, 1), "n_features is 0; allowed: 1 to 268435456");
  EXPECT_EQ(rejection(1, 0, 1, 1), "n_outputs is 0; allowed: 1 to 16777216");
  EXPECT_EQ(rejection(1, 1, 257, 1), "n_codebooks is 257; allowed: 1 to 256");
  EXPECT_EQ(rejection(1, 1, 1, 0), message("depth is 0; allowed: 1 to ", HashTrees::kMaxDepth));
  EXPECT_THROW(estimate(expected_shape(1, 1, 1, 1), -1, kTarget), InvalidArgument);
}

}  // namespace
}  // namespace mithral
