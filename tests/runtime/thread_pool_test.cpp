// The workers that all calls share: how many there are, what they do, forks, failures.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "codegen/model/reference.h"
#include "runtime/host.h"
#include "runtime/kernel.h"
#include "runtime/thread_pool.h"
#include "tests/support/random.h"
#include "tests/support/sanitizers.h"

namespace mithral {
namespace {

// Threads of this process with the workers' name.
int64_t count_workers() {
  int64_t count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    count += name == "mithral";
  }
  return count;
}

std::vector<int> runs_of_parts(int64_t n_parts, int64_t n_threads) {
  std::vector<std::atomic<int>> runs(n_parts);
  const auto part = [&](int64_t i) { ++runs[i]; };
  run_parts(n_parts, n_threads, PartFunction(part));
  return {runs.begin(), runs.end()};
}

// Two parts that wait for one another: only ends with a worker.
void meet_a_worker() {
  std::atomic<int> here{0};
  const auto part = [&](int64_t) {
    ++here;
    while (here < 2) sched_yield();
  };
  run_parts(2, 2, PartFunction(part));
}

// Kernels of every backend, large enough for threads, and what they return.
struct Calls {
  explicit Calls(int64_t threads) : model(testing::random_model(10, {6, 100, 9, 5})) {
    std::mt19937_64 rng(11);
    input = testing::random_input(rng, kRows * 6);
    expected.resize(kRows * 100);
    reference(model, x(), row_major(expected.data(), kRows, 100));
    if (!host().runnable.empty()) kernels.push_back(compile(model, {.backend = Backend::kJit, .threads = threads}));
    kernels.push_back(compile(model, {.backend = Backend::kGeneric, .threads = threads}));
  }
  bool are_right() const {
    std::vector<float> y(expected.size());
    for (const Kernel& kernel : kernels) {
      kernel(x(), row_major(y.data(), kRows, 100));
      if (std::memcmp(y.data(), expected.data(), 4 * y.size()) != 0) return false;
    }
    return true;
  }
  MatrixView<const float> x() const { return row_major<const float>(input.data(), kRows, 6); }

  static constexpr int64_t kRows = 5003;
  Model model;
  std::vector<float> input, expected;
  std::vector<Kernel> kernels;
};

// The exit status of what a child does; 14 + 128 if it takes a minute.
template <typename Function>
int status_of_child(const Function& is_right) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    syscall(SYS_exit_group, is_right() ? 0 : 1);  // _exit would look for leaks, without the threads left behind
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(ThreadPool, EveryPartRunsOnce) {
  for (const int64_t n_parts : {0, 1, 2, 3, 100, 1000}) {
    for (const int64_t n_threads : {1, 2, 3, 1024}) {
      EXPECT_EQ(runs_of_parts(n_parts, n_threads), std::vector<int>(n_parts, 1)) << n_threads << " threads";
    }
  }
}

TEST(ThreadPool, WorkersComeAndStay) {
  if (usable_cpus() < 2) GTEST_SKIP() << "one CPU: no workers";
  for (int i = 0; i < 1000; ++i) meet_a_worker();
  EXPECT_GE(count_workers(), 1);
}

TEST(ThreadPool, ManyCallersGetTheRightBytesAndNoMoreWorkersThanCpus) {
  std::atomic<int> wrong{0};
  std::atomic<int64_t> most{0};
  std::vector<std::thread> callers;
  for (int64_t threads = 1; threads <= 8; ++threads) {
    callers.emplace_back([&, threads] {
      const Calls calls(threads);
      for (int i = 0; i < 20; ++i) {
        if (!calls.are_right()) ++wrong;
        const int64_t workers = count_workers();
        for (int64_t old = most; old < workers && !most.compare_exchange_weak(old, workers);) continue;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LT(most, usable_cpus());
}

TEST(ThreadPool, ThreadWithOneCpuWorksAlone) {
  std::thread([] {
    cpu_set_t all, one;
    ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all)) ++cpu;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(usable_cpus(), 1);
    const auto self = std::this_thread::get_id();
    const auto part = [&](int64_t) { EXPECT_EQ(std::this_thread::get_id(), self); };
    run_parts(1000, 8, PartFunction(part));
  }).join();
}

TEST(ThreadPool, BusyWorkersAreNotWaitedFor) {
  std::atomic<bool> leave{false};
  std::atomic<int64_t> inside{0};
  const int64_t cpus = usable_cpus();
  std::thread holder([&] {
    const auto part = [&](int64_t) {
      ++inside;
      while (!leave) sched_yield();
    };
    run_parts(cpus, cpus, PartFunction(part));
  });
  while (inside < cpus) sched_yield();
  EXPECT_EQ(runs_of_parts(100, 8), std::vector<int>(100, 1));
  leave = true;
  holder.join();
}

TEST(ThreadPool, ExceptionReachesTheCallerAfterAllParts) {
  for (const int64_t failing : {0, 7, 15}) {
    std::atomic<int> ended{0};
    const auto part = [&](int64_t i) {
      ++ended;
      if (i == failing) throw std::runtime_error("part " + std::to_string(i));
    };
    try {
      run_parts(16, 4, PartFunction(part));
      ADD_FAILURE() << "nothing thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(error.what(), "part " + std::to_string(failing));
      EXPECT_EQ(ended, 16);
    }
  }
  if (usable_cpus() < 2) return;
  const auto self = std::this_thread::get_id();
  std::atomic<int> here{0};
  const auto part = [&](int64_t) {
    ++here;
    while (here < 2) sched_yield();
    if (std::this_thread::get_id() != self) throw std::runtime_error("of a worker");
  };
  EXPECT_THROW(run_parts(2, 2, PartFunction(part)), std::runtime_error);
}

TEST(ThreadPool, WorkersBlockSignalsButNotFaults) {
  if (usable_cpus() < 2) GTEST_SKIP() << "one CPU: no workers";
  const auto self = std::this_thread::get_id();
  sigset_t mask, own_before, own_after;
  pthread_sigmask(SIG_SETMASK, nullptr, &own_before);
  std::atomic<int> here{0};
  const auto part = [&](int64_t) {
    ++here;
    while (here < 2) sched_yield();
    if (std::this_thread::get_id() != self) pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  };
  run_parts(2, 2, PartFunction(part));
  pthread_sigmask(SIG_SETMASK, nullptr, &own_after);
  for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1}) {
    EXPECT_EQ(sigismember(&mask, signal), 1) << signal;
    EXPECT_EQ(sigismember(&own_after, signal), sigismember(&own_before, signal)) << signal;
  }
  EXPECT_EQ(sigismember(&mask, SIGSEGV), 0);
}

TEST(ThreadPool, ChildOfAForkHasWorkersOfItsOwn) {
  if (testing::has_thread_sanitizer()) GTEST_SKIP() << testing::kNoThreadsAfterFork;
  if (usable_cpus() < 2) GTEST_SKIP() << "one CPU: no workers";
  meet_a_worker();
  EXPECT_EQ(status_of_child([] {
              if (count_workers() != 0) return false;
              meet_a_worker();
              return count_workers() == 1;
            }),
            0);
}

TEST(ThreadPool, ForksDuringCallsLeaveWorkingChildren) {
  if (testing::has_address_sanitizer()) GTEST_SKIP() << testing::kAllocatorIsLockedAfterFork;
  if (testing::has_thread_sanitizer()) GTEST_SKIP() << testing::kNoThreadsAfterFork;
  const Calls calls(4);
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int t = 0; t < 2; ++t) {
    callers.emplace_back([&] {
      while (!stop) runs_of_parts(50, 4);
    });
  }
  for (int i = 0; i < 20; ++i) EXPECT_EQ(status_of_child([&] { return calls.are_right(); }), 0);
  stop = true;
  for (std::thread& caller : callers) caller.join();
}

// Exit with static destructors while workers are in the middle of parts.
TEST(ThreadPool, ExitWithBusyWorkersIsClean) {
  const auto exit_now = [] {
    static std::atomic<int64_t> busy{0};
    const int64_t n = std::min<int64_t>(usable_cpus(), 2);
    std::thread([n] {
      const auto part = [](int64_t) {
        for (++busy; true;) sched_yield();
      };
      run_parts(n, n, PartFunction(part));
    }).detach();
    while (busy < n) sched_yield();
    std::exit(0);
  };
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a new process instead of a child of this one
  EXPECT_EXIT(exit_now(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace mithral
