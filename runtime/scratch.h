// Memory that grows to the largest size asked for and is used again from call to call.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "codegen/model/multiples.h"

namespace mithral {

template <typename T>
class Scratch {
 public:
  // At least `count` values at the start of a cache line; what they hold is left from before.
  T* at_least(int64_t count) {
    if (count > capacity_) {
      constexpr int64_t kAlignment = 64;
      capacity_ = 0;  // stays so if the allocation fails
      const int64_t bytes = round_up(count * static_cast<int64_t>(sizeof(T)), kAlignment);
      data_.reset(static_cast<T*>(std::aligned_alloc(kAlignment, bytes)));
      if (!data_) throw std::bad_alloc();
      std::fill_n(data_.get(), count, T{});
      capacity_ = count;
    }
    return data_.get();
  }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t capacity_ = 0;
};

}  // namespace mithral
