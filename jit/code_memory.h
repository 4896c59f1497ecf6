// Executable memory under write-xor-execute: filled while writable, then sealed read-and-execute for good.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "jit/code_pages.h"
#include "jit/emitted_code.h"

namespace mithral::jit {

class CodeMemory {
 public:
  // Copies, from the start of a page on, and seals. Throws UnsupportedTarget where the system refuses executable
  // memory.
  explicit CodeMemory(std::span<const uint8_t> bytes);

  const uint8_t* data() const { return pages_.start(); }
  size_t size() const { return size_; }

  // Tells the system's unwinder about a routine that starts a page here, until this ends.
  void add_frames(const EmittedRoutine& routine) { pages_.frames().add(data() + routine.offset, routine); }

 private:
  size_t size_;
  CodePages pages_;
};

}  // namespace mithral::jit
