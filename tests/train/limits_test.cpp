// train() at its limits: tiny and degenerate problems, what it refuses, and how it is stopped.
#include "train/train.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "codegen/model/error.h"
#include "codegen/model/reference.h"
#include "tests/support/train_problems.h"

namespace mithral {
namespace {

using namespace testing;

double largest_error(const Model& model, const Problem& problem, std::span<const float> bias = {}) {
  std::vector<float> y(problem.n * problem.m);
  reference(model, problem.A(), row_major(y.data(), problem.n, problem.m));
  double largest = 0;
  for (int64_t i = 0; i < problem.n; ++i) {
    for (int64_t m = 0; m < problem.m; ++m) {
      double exact = bias.empty() ? 0 : bias[m];
      for (int64_t j = 0; j < problem.d; ++j) exact += static_cast<double>(problem.A()(i, j)) * problem.B()(j, m);
      largest = std::max(largest, std::abs(exact - y[i * problem.m + m]));
    }
  }
  return largest;
}

// --- tiny and degenerate ---

TEST(Train, AnyShapeWorks) {
  for (const auto& [n, d, m, c, l] : std::vector<std::array<int64_t, 5>>{{2, 1, 1, 1, 1},
                                                                         {2, 5, 3, 4, 4},
                                                                         {3, 2, 1, 8, 4},
                                                                         {5, 3, 2, 1, 4},
                                                                         {15, 16, 4, 4, 4},
                                                                         {100, 1, 1, 16, 4},
                                                                         {100, 3, 257, 5, 2},
                                                                         {100, 40, 2, 3, 3},
                                                                         {300, 600, 2, 1, 2},
                                                                         {600, 7, 1, 24, 1}}) {
    SCOPED_TRACE(::testing::Message() << "n " << n << " D " << d << " M " << m << " C " << c << " L " << l);
    const Model model = train(normal_problem(n, d, m), {.n_codebooks = c, .depth = l});
    expect_sane_report(model, n);
    EXPECT_EQ(model.n_features(), d);
    EXPECT_EQ(model.n_outputs(), m);
    EXPECT_EQ(model.n_codebooks(), c);
    EXPECT_EQ(model.trees().depth(), l);
  }
}

// With two rows one is learned from and none validates: every tree is kept although none can split.
TEST(Train, TreesThatNeverSplitWork) {
  Problem constant = normal_problem(300, 40, 2);
  for (int64_t i = 1; i < 300; ++i) std::copy_n(constant.a.begin(), 40, constant.a.begin() + i * 40);
  for (const Problem& problem :
       {normal_problem(2, 1, 1), normal_problem(2, 40, 3), normal_problem(3, 5, 2), constant}) {
    for (const char* objective : {"mse", "argmax", "reconstruction"}) {
      for (const char* layout : {"column", "row"}) {
        SCOPED_TRACE(::testing::Message() << problem.n << " rows, " << objective << ", " << layout);
        const Model model = train(problem, {.n_codebooks = 3, .objective = objective, .layout = layout});
        expect_sane_report(model, problem.n);
      }
    }
  }
}

// 150 rows cannot teach 256 trees anything; most are not grown, and the model still has them.
TEST(Train, FarMoreCodebooksThanRowsWork) {
  std::vector<int64_t> totals;
  TrainOptions options{.n_codebooks = Tables::kMaxCodebooks};
  options.progress = [&](int64_t done, int64_t total) { totals.push_back(std::max(done, total)); };
  const Model model = train(normal_problem(200, 6, 3), options);
  expect_sane_report(model, 200);
  EXPECT_EQ(model.n_codebooks(), Tables::kMaxCodebooks);
  EXPECT_LT(model.report().at("nmse"), 0.02);
  const auto& thresholds = model.trees().thresholds();
  EXPECT_TRUE(std::none_of(thresholds.end() - 15 * 128, thresholds.end(), [](float t) { return std::isfinite(t); }))
      << "half of the trees never split";
  EXPECT_EQ(totals, std::vector<int64_t>(totals.size(), totals[0]));
}

TEST(Train, AsManyCodebooksAsAModelHoldsWork) {
  for (const int64_t depth : {int64_t{1}, HashTrees::kMaxDepth}) {
    TrainOptions options{.n_codebooks = Tables::kMaxCodebooks, .depth = depth};
    options.objective = "reconstruction";  // far faster with this many
    const Model model = train(normal_problem(600, 7, 1), options);
    expect_sane_report(model, 600);
    EXPECT_LT(model.report().at("nmse"), 0.5) << depth << " levels";
  }
}

TEST(Train, OneColumnIsLearnedWell) {
  const Model model = train(normal_problem(5000, 1, 1), {.n_codebooks = 4});
  EXPECT_LT(model.report().at("nmse"), 0.01);
}

TEST(Train, ConstantRowsGiveTheirExactOutput) {
  Problem problem = normal_problem(50, 6, 3);
  for (int64_t i = 0; i < 50; ++i) std::copy_n(problem.a.begin(), 6, problem.a.begin() + i * 6);
  const Model model = train(problem, {.n_codebooks = 2});
  expect_sane_report(model, 50);
  EXPECT_LT(model.report().at("nmse"), 1e-12);
  EXPECT_EQ(model.report().at("argmax_agreement"), 1);
  EXPECT_EQ(model.tables().lut(), std::vector<uint8_t>(2 * 16 * 3, 0));
  for (const float threshold : model.trees().thresholds()) EXPECT_EQ(threshold, std::numeric_limits<float>::infinity());
  EXPECT_LT(largest_error(model, problem), 1e-6);
}

TEST(Train, ConstantColumnsAndOutputsAreHarmless) {
  Problem problem = low_rank_problem(500, 8, 3);
  for (int64_t i = 0; i < 500; ++i) problem.a[i * 8 + 5] = 2;
  for (int64_t j = 0; j < 8; ++j) problem.b[j * 3 + 1] = j == 5 ? 1.5f : 0;  // output 1 is 2 * 1.5 for every row
  const Model model = train(problem, {.n_codebooks = 4});
  expect_sane_report(model, 500);
  EXPECT_EQ(model.tables().scale()[1], 1);
  EXPECT_EQ(model.tables().offset()[1], 3);
  for (int64_t i = 1; i < 4 * 16 * 3; i += 3) EXPECT_EQ(model.tables().lut()[i], 0);
}

TEST(Train, AllZerosWork) {
  const Model model = train(Problem(20, 4, 2), {.n_codebooks = 2});
  expect_sane_report(model, 20);
  EXPECT_EQ(model.report().at("nmse"), 0);
}

TEST(Train, DuplicateRowsWork) {
  Problem problem = low_rank_problem(400, 16, 3);
  for (int64_t i = 10; i < 400; ++i) std::copy_n(problem.a.begin() + (i % 10) * 16, 16, problem.a.begin() + i * 16);
  const Model model = train(problem, {.n_codebooks = 4});
  expect_sane_report(model, 400);
  EXPECT_LT(model.report().at("nmse"), 1e-3) << "10 distinct rows fit 16 leaves";
}

TEST(Train, HugeAndTinyValuesScale) {
  const Problem problem = low_rank_problem(800, 16, 3);
  const Model expected = train(problem, {.n_codebooks = 4});
  for (const int exponent : {100, -90}) {  // powers of two: nothing rounds differently
    Problem scaled = problem;
    for (float& value : scaled.a) value = std::ldexp(value, exponent);
    const Model model = train(scaled, {.n_codebooks = 4});
    EXPECT_EQ(model.tables().lut(), expected.tables().lut()) << "2^" << exponent;
    EXPECT_EQ(model.trees().split_dims(), expected.trees().split_dims()) << "2^" << exponent;
    EXPECT_NEAR(model.report().at("nmse"), expected.report().at("nmse"), 1e-6) << "2^" << exponent;
  }
}

TEST(Train, ValuesNearTheEndOfFloat32Work) {
  Problem problem(64, 2, 1);
  for (int64_t i = 0; i < 64; ++i) problem.a[i * 2] = (i % 2 == 0 ? 3.4e38f : -3.4e38f);
  for (int64_t i = 0; i < 64; ++i) problem.a[i * 2 + 1] = static_cast<float>(i);
  problem.b = {0.25f, 1e30f};
  const Model model = train(problem, {.n_codebooks = 2});
  expect_sane_report(model, 64);
  EXPECT_LT(model.report().at("nmse"), 0.01);
}

// --- errors ---

template <typename Call>
void expect_refused(const Call& call, const std::vector<std::string>& parts) {
  try {
    call();
    ADD_FAILURE() << "accepted; expected a message with \"" << parts.front() << '"';
  } catch (const InvalidArgument& error) {
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << "\"" << part << "\" not in: " << error.what();
    }
  }
}

TEST(TrainErrors, ShapesThatDoNotFit) {
  const Problem p = normal_problem(10, 4, 3);
  expect_refused([&] { mithral::train(p.A(), row_major(p.b.data(), 3, 3)); }, {"A has 4 columns but B has 3 rows"});
  expect_refused([&] { mithral::train(p.A(), p.B(), std::vector<float>(2)); },
                 {"bias has 2 values but B has 3 columns"});
  for (const int64_t rows : {0, 1}) {
    expect_refused([&] { mithral::train(p.A().row_range(0, rows), p.B()); },
                   {"rows of A is " + std::to_string(rows), "allowed: 2 to"});
  }
  expect_refused([&] { mithral::train(row_major(p.a.data(), 10, 0), row_major(p.b.data(), 0, 3)); },
                 {"columns of A is 0", "allowed: 1 to"});
  expect_refused([&] { mithral::train(p.A(), row_major(p.b.data(), 4, 0)); }, {"columns of B is 0", "allowed: 1 to"});
}

TEST(TrainErrors, OptionsOutOfRange) {
  const Problem p = normal_problem(10, 4, 3);
  for (const int64_t c : {-1, 257}) {
    expect_refused([&] { train(p, {.n_codebooks = c}); }, {"n_codebooks is " + std::to_string(c), "allowed: 0 to 256"});
    expect_refused([&] { train(p, {.mixtures = [c](const auto&) {
                                 return std::vector<Mixture>{{c, 0}};
                               }}); },
                   {"n_codebooks is " + std::to_string(c)});
  }
  for (const int64_t s : {-1, 5}) {
    expect_refused([&] { train(p, {.n_linear = s}); }, {"n_linear is " + std::to_string(s), "allowed: 0 to 4"});
  }
  expect_refused([&] { train(p, {.n_codebooks = 0}); }, {"n_codebooks, n_linear and n_latents are 0", "at least one"});
  for (const int64_t r : {-1, 4}) {
    expect_refused([&] { train(p, {.n_codebooks = 0, .n_latents = r}); },
                   {"n_latents is " + std::to_string(r), "allowed: 0 to 3"});
  }
  expect_refused([&] { train(p, {.n_latents = 2}); }, {"n_codebooks is 16 beside latents", "allowed: 0"});
  for (const int64_t depth : {int64_t{0}, HashTrees::kMaxDepth + 1}) {
    expect_refused([&] { train(p, {.depth = depth}); }, {"depth is " + std::to_string(depth), "allowed: 1 to"});
  }
  expect_refused([&] { train(p, {.objective = "mae"}); }, {"objective is \"mae\"", "allowed: \"mse\""});
  expect_refused([&] { train(p, {.n_threads = 0}); }, {"threads is 0", "allowed: 1 to"});
}

TEST(TrainErrors, TheFirstValueThatIsNotFiniteIsNamed) {
  const Problem good = normal_problem(10, 4, 3);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  Problem p = good;
  p.a[3 * 4 + 2] = nan;
  p.a[5 * 4 + 1] = inf;
  expect_refused([&] { train(p); }, {"A[3, 2] is nan", "finite"});
  p.a[1 * 4 + 3] = -inf;
  expect_refused([&] { train(p); }, {"A[1, 3] is -inf", "finite"});
  p = good;
  p.b[2 * 3 + 1] = inf;
  expect_refused([&] { train(p); }, {"B[2, 1] is inf", "finite"});
  expect_refused(
      [&] {
        mithral::train(good.A(), good.B(), std::vector<float>{0, nan, inf});
      },
      {"bias[1] is nan", "finite"});
}

TEST(TrainErrors, OutputsBeyondFloat32) {
  Problem p = normal_problem(100, 4, 3);
  for (float& value : p.a) value *= 1e30f;
  for (int64_t j = 0; j < 4; ++j) p.b[j * 3 + 2] *= 1e15f;
  expect_refused([&] { train(p, {.n_codebooks = 2}); }, {"output 2 can reach", "float32"});
}

// --- progress ---

TEST(TrainProgress, RisesToTheTotalOnTheCallingThread) {
  for (const int64_t n : {2, 300}) {
    std::vector<std::pair<int64_t, int64_t>> calls;
    TrainOptions options{.n_codebooks = 5, .n_threads = 3};
    const auto caller = std::this_thread::get_id();
    options.progress = [&](int64_t done, int64_t total) {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      calls.emplace_back(done, total);
    };
    train(low_rank_problem(n, 16, 3), options);
    ASSERT_FALSE(calls.empty());
    for (size_t i = 0; i < calls.size(); ++i) {
      EXPECT_EQ(calls[i].second, calls[0].second);
      EXPECT_GE(calls[i].first, i == 0 ? 0 : calls[i - 1].first);
      EXPECT_LE(calls[i].first, calls[i].second);
    }
    EXPECT_EQ(calls.back().first, calls.back().second);
  }
}

TEST(TrainProgress, AnExceptionStopsTraining) {
  struct Stop {};
  const Problem problem = low_rank_problem(300, 16, 3);
  int64_t calls = 0;
  TrainOptions options{.n_codebooks = 4, .depth = 2, .n_threads = 2};
  options.progress = [&](int64_t, int64_t) { ++calls; };
  train(problem, options);
  const int64_t all = calls;
  // In the choice of how to learn, in both rounds of trees, in the choice of lambda between them, and at the very end.
  for (const int64_t last : {int64_t{1}, int64_t{5}, int64_t{9}, all / 2, all - 1, all}) {
    calls = 0;
    options.progress = [&](int64_t, int64_t) {
      if (++calls == last) throw Stop{};
    };
    EXPECT_THROW(train(problem, options), Stop) << "at call " << last << " of " << all;
    EXPECT_EQ(calls, last);
  }
}

}  // namespace
}  // namespace mithral
