// Pages of address space for code. Those of all kernels are dealt out from regions, because what a region needs of the
// system, foremost its registration with the unwinder (frame_table.h), gets dearer with their number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>

#include "jit/frame_table.h"

namespace mithral::jit {

inline constexpr size_t kPageBytes = 4096;

class CodeRegion {
 public:
  static constexpr size_t kPages = 64;  // more only for one who needs more

  // Throws std::bad_alloc. The caller has the process lock, then and when the region ends.
  explicit CodeRegion(size_t n_pages);

  // Pages that can be taken in one piece.
  size_t longest_free() const;
  bool is_unused() const { return free_ == kAllFree; }

  uint8_t* take(size_t n_pages);
  void give_back(const uint8_t* start, size_t n_pages);
  FrameTable& frames() { return frames_; }

 private:
  static constexpr uint64_t kAllFree = ~uint64_t{0};
  struct Unmap {
    size_t bytes;
    void operator()(uint8_t* start) const;
  };

  std::unique_ptr<uint8_t, Unmap> start_;
  uint64_t free_ = kAllFree;  // a bit a page; of more pages than bits, all or none are taken
  FrameTable frames_;
};

// Some pages, without access to them at first and again at their end. Thread-safe.
class CodePages {
 public:
  explicit CodePages(size_t n_pages);
  ~CodePages();
  CodePages(const CodePages&) = delete;
  CodePages& operator=(const CodePages&) = delete;

  uint8_t* start() const { return start_; }
  size_t bytes() const { return n_pages_ * kPageBytes; }

  // Where the unwind information of routines in these pages goes.
  FrameTable& frames() const { return region_->frames(); }

 private:
  size_t n_pages_;
  std::list<CodeRegion>::iterator region_;
  uint8_t* start_;
};

}  // namespace mithral::jit
