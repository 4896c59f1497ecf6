// A value that is made when it is first asked for. No lock is held while it is made, so that a fork in between leaves
// none behind: of several threads that make it at once, one's is kept.
#pragma once

#include <atomic>
#include <memory>

namespace mithral {

template <typename T>
class OnFirstUse {
 public:
  OnFirstUse() = default;
  OnFirstUse(const OnFirstUse&) = delete;
  OnFirstUse& operator=(const OnFirstUse&) = delete;
  ~OnFirstUse() { delete if_made(); }

  // `make()` returns a std::unique_ptr<const T>. If it throws, the next call tries again.
  template <typename Make>
  const T& get(Make&& make) {
    if (const T* made = if_made()) return *made;
    std::unique_ptr<const T> value = make();
    const T* first = nullptr;
    if (made_.compare_exchange_strong(first, value.get(), std::memory_order_acq_rel)) return *value.release();
    return *first;
  }

  const T* if_made() const { return made_.load(std::memory_order_acquire); }

 private:
  std::atomic<const T*> made_ = nullptr;
};

}  // namespace mithral
