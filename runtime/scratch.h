// Memory that grows to the largest size asked for and is used again from call to call.
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/aligned_array.h"

namespace mithral {

template <typename T>
class Scratch {
 public:
  // At least `count` values at the start of a cache line; what they hold is left from before.
  T* at_least(int64_t count) {
    if (array_ == nullptr || count > array_->count()) {
      array_.reset();  // stays so if the allocation fails
      array_ = std::make_unique<AlignedArray<T>>(count);
    }
    return array_->data();
  }

 private:
  std::unique_ptr<AlignedArray<T>> array_;
};

}  // namespace mithral
