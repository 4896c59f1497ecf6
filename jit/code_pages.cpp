#include "jit/code_pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <new>

#include "jit/process_lock.h"

namespace mithral::jit {
namespace {

constexpr int kReserve = MAP_PRIVATE | MAP_ANONYMOUS;  // private: a forked child has copies of its own

uint8_t* reserve(size_t bytes) {
  void* start = mmap(nullptr, bytes, PROT_NONE, kReserve, -1, 0);
  if (start == MAP_FAILED) throw std::bad_alloc();
  return static_cast<uint8_t*>(start);
}

// The bits at which `count` set bits begin.
uint64_t runs_of(size_t count, uint64_t bits) {
  uint64_t result = bits;
  for (size_t i = 1; i < count; ++i) result &= bits >> i;
  return result;
}

uint64_t pages_mask(size_t count) { return ~uint64_t{0} >> (CodeRegion::kPages - count); }

// All regions, by what can be taken from them in one piece. The caller has the process lock.
class Regions {
 public:
  using Place = std::list<CodeRegion>::iterator;

  Place with_room_for(size_t n_pages) {
    for (size_t run = n_pages; run <= CodeRegion::kPages; ++run) {
      if (!by_longest_free_[run].empty()) return by_longest_free_[run].begin();
    }
    return by_longest_free_[CodeRegion::kPages].emplace(by_longest_free_[CodeRegion::kPages].begin(), n_pages);
  }

  uint8_t* take(Place region, size_t n_pages) {
    auto& from = by_longest_free_[region->longest_free()];
    uint8_t* start = region->take(n_pages);
    file(region, from);
    return start;
  }

  void give_back(Place region, const uint8_t* start, size_t n_pages) {
    auto& from = by_longest_free_[region->longest_free()];
    region->give_back(start, n_pages);
    if (region->is_unused()) {
      from.erase(region);
    } else {
      file(region, from);
    }
  }

 private:
  void file(Place region, std::list<CodeRegion>& from) {
    auto& to = by_longest_free_[region->longest_free()];
    to.splice(to.begin(), from, region);
  }

  std::array<std::list<CodeRegion>, CodeRegion::kPages + 1> by_longest_free_;
};

// Never destroyed: kernels may be compiled and end while the process exits.
Regions& regions() {
  static Regions& result = *new Regions;
  return result;
}

}  // namespace

CodeRegion::CodeRegion(size_t n_pages)
    : start_(reserve(std::max(n_pages, kPages) * kPageBytes), {std::max(n_pages, kPages) * kPageBytes}),
      frames_(start_.get(), std::max(n_pages, kPages)) {}

void CodeRegion::Unmap::operator()(uint8_t* start) const { munmap(start, bytes); }

size_t CodeRegion::longest_free() const {
  size_t longest = 0;
  for (uint64_t runs = free_; runs != 0; runs &= runs >> 1) ++longest;
  return longest;
}

uint8_t* CodeRegion::take(size_t n_pages) {
  if (n_pages > kPages) {
    free_ = 0;
    return start_.get();
  }
  const int first = std::countr_zero(runs_of(n_pages, free_));
  free_ &= ~(pages_mask(n_pages) << first);
  return start_.get() + static_cast<size_t>(first) * kPageBytes;
}

void CodeRegion::give_back(const uint8_t* start, size_t n_pages) {
  if (n_pages > kPages) {
    free_ = kAllFree;
    return;
  }
  free_ |= pages_mask(n_pages) << (static_cast<size_t>(start - start_.get()) / kPageBytes);
}

CodePages::CodePages(size_t n_pages) : n_pages_(n_pages) {
  const std::lock_guard guard(process_lock());  // a fork would leave half-changed lists, and the unwinder's lock taken
  region_ = regions().with_room_for(n_pages);
  start_ = regions().take(region_, n_pages);
}

CodePages::~CodePages() {
  frames().remove(start_, n_pages_);
  // Mapped anew, which is how their memory goes back; where the system has no number left for one more map, without.
  if (mmap(start_, bytes(), PROT_NONE, kReserve | MAP_FIXED, -1, 0) == MAP_FAILED) {
    madvise(start_, bytes(), MADV_DONTNEED);
  }
  const std::lock_guard guard(process_lock());
  regions().give_back(region_, start_, n_pages_);
}

}  // namespace mithral::jit
