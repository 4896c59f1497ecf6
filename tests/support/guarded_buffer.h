// Memory between two unmapped pages: a read or write outside of it stops the test. Sanitizers do not see what emitted
// code does.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <vector>

namespace mithral::testing {

enum class Flush {
  kEnd,    // the last element touches the guard page behind
  kStart,  // the first element touches the guard page in front
};

template <typename T>
class GuardedBuffer {
 public:
  explicit GuardedBuffer(int64_t count, Flush flush = Flush::kEnd) : count_(count) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t body = (count * sizeof(T) + page - 1) / page * page;
    mapped_ = body + 2 * page;
    base_ = static_cast<uint8_t*>(mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED) throw std::bad_alloc();
    if (body > 0 && mprotect(base_ + page, body, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    uint8_t* start = flush == Flush::kStart ? base_ + page : base_ + page + body - count * sizeof(T);
    data_ = reinterpret_cast<T*>(start);
  }
  GuardedBuffer(const std::vector<T>& values, Flush flush) : GuardedBuffer(static_cast<int64_t>(values.size()), flush) {
    std::copy(values.begin(), values.end(), data_);
  }
  ~GuardedBuffer() { munmap(base_, mapped_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  T* data() { return data_; }
  int64_t size() const { return count_; }
  void fill(T value) { std::fill_n(data_, count_, value); }

 private:
  int64_t count_;
  size_t mapped_ = 0;
  uint8_t* base_ = nullptr;
  T* data_ = nullptr;
};

}  // namespace mithral::testing
