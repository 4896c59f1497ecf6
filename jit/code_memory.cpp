#include "jit/code_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "codegen/model/error.h"
#include "codegen/model/multiples.h"

namespace mithral::jit {
namespace {

[[noreturn]] void refuse(size_t size) {
  if (errno == ENOMEM) throw std::bad_alloc();
  throw UnsupportedTarget(
      message("cannot get ", size, " bytes of executable memory: mprotect: ", std::strerror(errno),
              "; use backend \"generic\" or \"interpreter\" where the system forbids generated code"));
}

}  // namespace

CodeMemory::CodeMemory(std::span<const uint8_t> bytes)
    : size_(bytes.size()), pages_(divide_up(bytes.size(), kPageBytes)) {
  if (mprotect(pages_.start(), pages_.bytes(), PROT_READ | PROT_WRITE) != 0) refuse(size_);
  std::memcpy(pages_.start(), bytes.data(), size_);
  if (mprotect(pages_.start(), pages_.bytes(), PROT_READ | PROT_EXEC) != 0) refuse(size_);
}

}  // namespace mithral::jit
