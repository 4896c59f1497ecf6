// A value that is made when it is first asked for, by one thread while others wait.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

namespace mithral {

template <typename T>
class OnFirstUse {
 public:
  // `make()` returns a std::unique_ptr<const T>. If it throws, the next call tries again.
  template <typename Make>
  const T& get(Make&& make) {
    if (const T* made = if_made()) return *made;
    const std::lock_guard lock(mutex_);
    if (owner_ == nullptr) {
      owner_ = make();
      made_.store(owner_.get(), std::memory_order_release);
    }
    return *owner_;
  }

  const T* if_made() const { return made_.load(std::memory_order_acquire); }

 private:
  std::mutex mutex_;
  std::unique_ptr<const T> owner_;
  std::atomic<const T*> made_ = nullptr;
};

}  // namespace mithral
