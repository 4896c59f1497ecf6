// The worker threads of this process, which all calls of all kernels share.
//
// Workers are started when a call first needs them, one at a time, and stay. There are never more than the CPUs that
// the calling thread may run on, less one, whatever calls ask for and however many run at once. A worker keeps the CPUs
// of the thread that started it.
#pragma once

#include <cstdint>

namespace mithral {

// A callable that is not copied and not owned: a call allocates nothing for it.
class PartFunction {
 public:
  template <typename Function>
  explicit PartFunction(const Function& function)
      : function_(&function), call_([](const void* f, int64_t part) { (*static_cast<const Function*>(f))(part); }) {}
  void operator()(int64_t part) const { call_(function_, part); }

 private:
  const void* function_;
  void (*call_)(const void*, int64_t);
};

// Runs every part of 0 .. n_parts - 1 once: on the calling thread and on up to n_threads - 1 workers that are idle now.
// Nobody waits for a busy worker: whoever is free takes the next part, so that the caller does alone what no worker
// came for. Returns when all parts have ended; then throws an exception of one of them if any threw. Thread-safe.
void run_parts(int64_t n_parts, int64_t n_threads, PartFunction part);

}  // namespace mithral
