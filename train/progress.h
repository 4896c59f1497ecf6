// Counts training steps for the caller's callback.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

namespace mithral::train_internal {

class Progress {
 public:
  Progress(std::function<void(int64_t, int64_t)> callback, int64_t total)
      : callback_(std::move(callback)), total_(total) {}

  void step(int64_t count = 1) { report(done_ + count); }
  void poll() { report(done_); }  // nothing is done yet, but the caller may want to stop
  void finish() { report(total_); }

 private:
  void report(int64_t done) {
    done_ = done;
    if (callback_) callback_(done_, total_);
  }

  std::function<void(int64_t, int64_t)> callback_;
  int64_t total_;
  int64_t done_ = 0;
};

}  // namespace mithral::train_internal
