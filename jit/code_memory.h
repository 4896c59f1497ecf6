// Executable memory under write-xor-execute: filled while writable, then sealed read-and-execute for good.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mithral::jit {

class CodeMemory {
 public:
  // Maps, copies, seals. Throws UnsupportedTarget where the system refuses executable memory.
  explicit CodeMemory(std::span<const uint8_t> bytes);
  ~CodeMemory();
  CodeMemory(const CodeMemory&) = delete;
  CodeMemory& operator=(const CodeMemory&) = delete;

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace mithral::jit
