// An array that begins where a cache line does, of a size that does not change. Zeroed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "codegen/model/multiples.h"

namespace mithral {

template <typename T>
class AlignedArray {
 public:
  explicit AlignedArray(int64_t count) : count_(count) {
    constexpr int64_t kAlignment = 64;
    const int64_t size = round_up(std::max<int64_t>(bytes(), 1), kAlignment);
    data_.reset(static_cast<T*>(std::aligned_alloc(kAlignment, size)));
    if (!data_) throw std::bad_alloc();
    std::memset(static_cast<void*>(data_.get()), 0, size);
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  int64_t count() const { return count_; }
  int64_t bytes() const { return count_ * static_cast<int64_t>(sizeof(T)); }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  int64_t count_;
  std::unique_ptr<T, Free> data_;
};

}  // namespace mithral
