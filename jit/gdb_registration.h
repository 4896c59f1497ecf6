// The JIT interface of GDB and LLDB: a list of ELF objects in this process, and a function on which a debugger keeps a
// breakpoint to learn of changes. Debuggers that attach later read the list.
// https://sourceware.org/gdb/current/onlinedocs/gdb.html/JIT-Interface.html
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "jit/emitted_code.h"

namespace mithral::jit {

struct JitCodeEntry;

// Keeps the code's symbols and unwind information in the list for as long as it lives. Thread-safe among kernels; other
// JIT compilers that are linked into the same library and share the list have a lock of their own.
class GdbRegistration {
 public:
  explicit GdbRegistration(const EmittedCode& code);
  ~GdbRegistration();
  GdbRegistration(const GdbRegistration&) = delete;
  GdbRegistration& operator=(const GdbRegistration&) = delete;

 private:
  std::vector<uint8_t> image_;
  std::unique_ptr<JitCodeEntry> entry_;
};

}  // namespace mithral::jit
