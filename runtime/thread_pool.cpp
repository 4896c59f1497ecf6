#include "runtime/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <exception>
#include <thread>

#include "runtime/host.h"
#include "runtime/options.h"

namespace mithral {
namespace {

// Waking a sleeping worker takes 30 to 70 microseconds, finding it awake less than one. So whoever waits first looks
// this often, for about 50 microseconds: calls often come one after the other. (An Ice Lake server; a look takes as
// long as the CPU's pause instruction.)
constexpr int kLooksBeforeSleep = 2500;

// Sleep until a condition that others make true before they ring.
class Bell {
 public:
  template <typename Condition>
  void wait_until(const Condition& is_true) {
    for (int look = 0; look < kLooksBeforeSleep; ++look) {
      if (is_true()) return;
      __builtin_ia32_pause();
    }
    while (true) {
      const uint32_t heard = rings_.load();
      if (is_true()) return;
      rings_.wait(heard);
    }
  }

  void ring() {
    ++rings_;
    rings_.notify_all();
  }

 private:
  std::atomic<uint32_t> rings_{0};
};

// The parts of one call; on the caller's stack.
class Job {
 public:
  Job(int64_t n_parts, PartFunction part) : n_parts_(n_parts), part_(part) {}

  void run_what_is_left() noexcept {
    for (int64_t part; (part = next_.fetch_add(1)) < n_parts_;) {
      try {
        part_(part);
      } catch (...) {
        if (!has_failed_.exchange(true)) failure_ = std::current_exception();
      }
    }
  }

  bool has_parts() const { return next_.load() < n_parts_; }

  // Once no other thread is at it.
  void rethrow_failure() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  const int64_t n_parts_;
  const PartFunction part_;
  std::atomic<int64_t> next_{0};
  std::atomic<bool> has_failed_{false};
  std::exception_ptr failure_;
};

// A place for a worker. Everything about it is one word, which changes by compare-and-exchange:
//
//      kAbsent ──start──► offered(job) ──take──► taken(job)
//                          │       ▲                │
//                   retract│       │offer           │
//                          ▼       │                │
//                         kIdle ◄──┴────────────────┘
//
// No lock is ever held, so a fork finds nothing locked. Only the job's caller moves kAbsent or kIdle to offered, and
// back to kIdle; whether it can tells it if the worker is at the job. Places are never destroyed: workers sleep on
// until the process is gone.
class alignas(64) Place {
 public:
  // Gives the worker the job if it is idle; starts one if there is none.
  bool offer(Job& job) {
    uintptr_t state = state_.load();
    if ((state != kIdle && state != kAbsent) || !state_.compare_exchange_strong(state, offered(job))) return false;
    if (state == kAbsent) return start();
    offers_.ring();
    return true;
  }

  // Afterwards the worker is not at the job, nor will it be.
  void withdraw(const Job& job) {
    uintptr_t state = state_.load();
    if (state == offered(job) && state_.compare_exchange_strong(state, kIdle)) return;
    if (state != taken(job)) return;
    endings_.wait_until([&] { return state_.load() != taken(job); });
  }

  // In the child of a fork no worker lives.
  void forget() {
    if (state_.load() != kAbsent) state_ = kAbsent;  // most were never written, and shall not take memory
  }

 private:
  // Jobs are aligned, which leaves small numbers and odd ones.
  static constexpr uintptr_t kAbsent = 0, kIdle = 2;
  static uintptr_t offered(const Job& job) { return reinterpret_cast<uintptr_t>(&job); }
  static uintptr_t taken(const Job& job) { return offered(job) | 1; }

  bool start();
  [[noreturn]] void work();

  std::atomic<uintptr_t> state_{kAbsent};
  Bell offers_, endings_;
};

// Signals are for the program's own threads: Ctrl-C has to wake the main one. Faults of a thread stay its own, so that
// crash handlers see them.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) sigdelset(&blocked, fault);
    pthread_sigmask(SIG_SETMASK, &blocked, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

bool Place::start() {
  const SignalsBlocked blocked;  // a thread inherits them
  try {
    std::thread([this] { work(); }).detach();
    return true;
  } catch (...) {
    state_ = kAbsent;  // no more threads, or no memory for one
    return false;
  }
}

void Place::work() {
  pthread_setname_np(pthread_self(), "mithral");
  while (true) {
    uintptr_t state = kIdle;
    offers_.wait_until([&] { return (state = state_.load()) != kIdle; });
    if (!state_.compare_exchange_strong(state, state | 1)) continue;  // withdrawn
    reinterpret_cast<Job*>(state)->run_what_is_left();
    state_ = kIdle;
    endings_.ring();
  }
}

Place places[kMaxThreads - 1];

// When the program is loaded: at the first call, a fork could come in between. Without memory for it, children work
// alone: nobody takes what they offer.
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] {
  for (Place& place : places) place.forget();
});

}  // namespace

void run_parts(int64_t n_parts, int64_t n_threads, PartFunction part) {
  const int64_t n_places = std::min<int64_t>(usable_cpus() - 1, std::size(places));
  const int64_t n_wanted = std::min(n_threads, n_parts) - 1;
  Job job(n_parts, part);
  int64_t n_tried = 0;
  for (int64_t n_offered = 0; n_tried < n_places && n_offered < n_wanted && job.has_parts(); ++n_tried) {
    n_offered += places[n_tried].offer(job);
  }
  job.run_what_is_left();
  for (int64_t i = 0; i < n_tried; ++i) places[i].withdraw(job);
  job.rethrow_failure();
}

}  // namespace mithral
