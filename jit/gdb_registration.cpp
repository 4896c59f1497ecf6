#include "jit/gdb_registration.h"

#include "jit/elf_image.h"
#include "jit/process_lock.h"

// Debuggers look these up by name and read them by layout. Weak, because other code generators in a program have them
// too; protected, so that a library's own are exported yet never replaced by those of another library.
#define MITHRAL_DEBUGGER_VISIBLE __attribute__((weak, visibility("protected")))

namespace mithral::jit {

struct JitCodeEntry {
  JitCodeEntry* next;
  JitCodeEntry* previous;
  const uint8_t* image;
  uint64_t image_size;
};

enum class DebuggerAction : uint32_t { kNothing, kRegister, kUnregister };

struct JitDescriptor {
  uint32_t version;
  DebuggerAction action;
  JitCodeEntry* relevant;
  JitCodeEntry* first;
};

}  // namespace mithral::jit

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the interface's names
extern "C" {
// The debugger's breakpoint is here; the call and the writes before it must remain.
MITHRAL_DEBUGGER_VISIBLE __attribute__((noinline)) void __jit_debug_register_code() { asm volatile("" ::: "memory"); }
MITHRAL_DEBUGGER_VISIBLE mithral::jit::JitDescriptor __jit_debug_descriptor = {
    1, mithral::jit::DebuggerAction::kNothing, nullptr, nullptr};
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

namespace mithral::jit {
namespace {

void tell_debugger(DebuggerAction action, JitCodeEntry* entry) {
  __jit_debug_descriptor.action = action;
  __jit_debug_descriptor.relevant = entry;
  __jit_debug_register_code();
  __jit_debug_descriptor.action = DebuggerAction::kNothing;
  __jit_debug_descriptor.relevant = nullptr;
}

}  // namespace

GdbRegistration::GdbRegistration(const EmittedCode& code)
    : image_(elf_image(code)),
      entry_(
          new JitCodeEntry{.next = nullptr, .previous = nullptr, .image = image_.data(), .image_size = image_.size()}) {
  const std::lock_guard guard(process_lock());
  JitCodeEntry*& first = __jit_debug_descriptor.first;
  entry_->next = first;
  if (first != nullptr) first->previous = entry_.get();
  first = entry_.get();
  tell_debugger(DebuggerAction::kRegister, entry_.get());
}

GdbRegistration::~GdbRegistration() {
  const std::lock_guard guard(process_lock());
  (entry_->previous != nullptr ? entry_->previous->next : __jit_debug_descriptor.first) = entry_->next;
  if (entry_->next != nullptr) entry_->next->previous = entry_->previous;
  tell_debugger(DebuggerAction::kUnregister, entry_.get());
}

}  // namespace mithral::jit
