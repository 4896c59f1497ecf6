// Runs body(0) .. body(count - 1) on up to n_threads threads, the calling one among them.
//
// Items must be independent and write only to places of their own: then the result does not depend on n_threads. The
// exception of the lowest item that failed before the others were told to stop reaches the caller.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace mithral::train_internal {

template <typename Body>
void parallel_for(int64_t count, int64_t n_threads, const Body& body) {
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  int64_t failed = count;
  const auto work = [&] {
    for (int64_t item; (item = next.fetch_add(1)) < count;) {
      try {
        body(item);
      } catch (...) {
        next = count;
        const std::lock_guard lock(mutex);
        if (item < failed) {
          failed = item;
          error = std::current_exception();
        }
      }
    }
  };
  {
    std::vector<std::jthread> helpers;
    try {
      for (int64_t t = 1; t < std::min(n_threads, count); ++t) helpers.emplace_back(work);
    } catch (...) {
      // No more threads, or no memory for one: those that run, and this one, do all the work.
    }
    work();
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace mithral::train_internal
