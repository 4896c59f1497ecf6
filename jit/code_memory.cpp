#include "jit/code_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "codegen/model/error.h"

namespace mithral::jit {
namespace {

[[noreturn]] void refuse(const char* call, size_t size) {
  if (errno == ENOMEM) throw std::bad_alloc();
  throw UnsupportedTarget(
      message("cannot get ", size, " bytes of executable memory: ", call, ": ", std::strerror(errno),
              "; use backend \"generic\" or \"interpreter\" where the system forbids generated code"));
}

}  // namespace

CodeMemory::CodeMemory(std::span<const uint8_t> bytes) : size_(bytes.size()) {
  void* pages = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) refuse("mmap", size_);
  std::memcpy(pages, bytes.data(), size_);
  if (mprotect(pages, size_, PROT_READ | PROT_EXEC) != 0) {
    const int reason = errno;
    munmap(pages, size_);
    errno = reason;
    refuse("mprotect", size_);
  }
  data_ = static_cast<uint8_t*>(pages);
}

CodeMemory::~CodeMemory() { munmap(data_, size_); }

}  // namespace mithral::jit
