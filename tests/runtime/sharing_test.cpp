// Kernels of one LUT: what they share, how long it lives, threads and forks that meet over it.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <latch>
#include <optional>
#include <thread>

#include "codegen/model/reference.h"
#include "runtime/host.h"
#include "runtime/kernel.h"
#include "runtime/shared_model.h"
#include "tests/support/random.h"
#include "tests/support/sanitizers.h"

namespace mithral {
namespace {

constexpr int64_t kRows = 64, kFeatures = 16, kOutputs = 20;

Backend some_backend() { return best_isa() ? Backend::kJit : Backend::kGeneric; }

Model small_model(uint64_t seed) {
  return testing::random_model(seed, {kFeatures, kOutputs, 9, 4}, testing::Entries::kAny);
}

std::vector<float> rows() {
  std::mt19937_64 rng(1);
  return testing::random_input(rng, kRows * kFeatures);
}

// Whether a call gives what the model's definition does.
bool is_right(const Kernel& kernel) {
  const std::vector<float> input = rows();
  const auto x = row_major(input.data(), kRows, kFeatures);
  std::vector<float> y(kRows * kOutputs), expected(kRows * kOutputs);
  kernel(x, row_major(y.data(), kRows, kOutputs));
  reference(kernel.model(), x, row_major(expected.data(), kRows, kOutputs));
  return std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) == 0;
}

TEST(Sharing, KernelsOfOneLutShareItsLayouts) {
  const Model model = small_model(1);
  const std::vector<float> bias(kOutputs, 2.5f);
  const Kernel first = compile(model, {.backend = some_backend()});
  const Kernel second = compile(model, {.backend = some_backend(), .bias = bias});
  const Kernel other = compile(small_model(1), {.backend = some_backend()});
  EXPECT_EQ(second.table_size(), 0);
  EXPECT_TRUE(is_right(first));
  const int64_t all = first.table_size(), of_scales = 2 * kOutputs * static_cast<int64_t>(sizeof(float));
  EXPECT_GE(all - of_scales, kOutputs * 9 * 16);
  EXPECT_EQ(second.table_size(), all - of_scales) << "scales and offsets are its own";
  EXPECT_TRUE(is_right(second));
  EXPECT_EQ(second.table_size(), all);
  EXPECT_EQ(first.table_size(), all);
  EXPECT_EQ(other.table_size(), 0) << "equal arrays are not the same";
}

TEST(Sharing, KernelsOfOneModelShareItsLatentsLayouts) {
  std::mt19937_64 rng(5);
  testing::ModelArrays arrays = testing::random_arrays(rng, {6, 40, 0, 1});
  arrays.linear = testing::random_latents(rng, 9, 4, 6, 40, testing::Weights::kSmall);
  const Model model = arrays;
  const Kernel first = compile(model, {.backend = some_backend()}),
               second = compile(model, {.backend = some_backend()});
  const std::vector<float> x(6 * 50);
  std::vector<float> y(40 * 50);
  first(row_major<const float>(x.data(), 50, 6), col_major(y.data(), 50, 40));
  const int64_t all = first.table_size(), shared = second.table_size();
  EXPECT_GT(shared, 40 * 13 + 9 * 9) << "weights of both";
  second(row_major<const float>(x.data(), 50, 6), col_major(y.data(), 50, 40));
  EXPECT_EQ(second.table_size(), all);
  EXPECT_EQ(first.table_size(), all);
}

TEST(Sharing, LastsAsLongAsAKernel) {
  const Model model = small_model(2);
  std::optional<Kernel> first = compile(model, {.backend = some_backend()});
  std::optional<Kernel> second = compile(model, {.backend = some_backend(), .activation = Activation::kRelu});
  const std::weak_ptr<const SharedModel> shared = SharedModel::of(model);
  EXPECT_FALSE(shared.expired());
  EXPECT_EQ(SharedModel::of(model), shared.lock());
  EXPECT_TRUE(is_right(*first));
  EXPECT_GT(second->table_size(), 0);
  const int64_t laid_out = second->table_size();
  first.reset();
  EXPECT_FALSE(shared.expired());
  EXPECT_EQ(second->table_size(), laid_out);
  second.reset();
  EXPECT_TRUE(shared.expired());
  const Kernel third = compile(model, {.backend = some_backend()});
  EXPECT_EQ(third.table_size(), 0);
  EXPECT_TRUE(is_right(third));
  EXPECT_GT(third.table_size(), 0);
}

TEST(Sharing, LayoutsLastAsLongAsWhoUsesThem) {
  const Model model = small_model(3);
  const std::shared_ptr<const SharedModel> shared = SharedModel::of(model);
  const codegen::TableShape shape = codegen::table_shape(model.tables());
  const auto lookup = codegen::LookupTables::segments(shape, {{0, 1, 2, 3, 4, 5, 6, 7, 8}}, false);
  const codegen::RowTables narrow(shape, 64, 8), wide(shape, 128, 8);
  std::shared_ptr<const LutLayouts> layouts = shared->layouts(model, lookup, narrow);
  EXPECT_EQ(shared->layouts(model, lookup, narrow), layouts);
  EXPECT_NE(shared->layouts(model, lookup, wide), layouts);
  EXPECT_NE(shared->layouts(small_model(3), lookup, narrow), layouts);
  const std::weak_ptr<const LutLayouts> weak = layouts;
  layouts.reset();
  EXPECT_TRUE(weak.expired());
}

TEST(Sharing, ThreadsCompileAndCallAtOnce) {
  constexpr int kThreads = 4, kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    const Model model = small_model(100 + round);
    std::latch start(kThreads);
    std::atomic<int> n_right = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const std::vector<float> bias(kOutputs, static_cast<float>(t));
        start.arrive_and_wait();
        const Kernel kernel = compile(model, {.backend = some_backend(), .bias = bias});
        n_right += is_right(kernel);
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(n_right, kThreads);
  }
}

// Children of a process while other threads compile and look for what kernels share, each with a watchdog.
TEST(Sharing, ForkedChildrenCompileAndCall) {
  if (testing::has_address_sanitizer()) GTEST_SKIP() << testing::kAllocatorIsLockedAfterFork;
  const Model model = small_model(4);
  const std::shared_ptr<const SharedModel> shared = SharedModel::of(model);  // then it is a short look under a lock
  std::atomic<bool> done = false;
  std::thread compiles([&] {
    while (!done) is_right(compile(model, {.backend = some_backend()}));
  });
  std::thread looks([&] {
    while (!done) SharedModel::of(model);
  });
  for (int i = 0; i < 100; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      const bool same = is_right(compile(model, {.backend = some_backend()}));
      const bool other = is_right(compile(small_model(5), {.backend = some_backend()}));
      syscall(SYS_exit_group, same && other ? 0 : 1);  // _exit would look for leaks, without the threads left behind
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "child " << i;
  }
  done = true;
  compiles.join();
  looks.join();
}

}  // namespace
}  // namespace mithral
