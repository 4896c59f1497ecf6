// Which sanitizers this program runs under. The linker says it: tests may have been compiled for another build than the
// libraries.
#pragma once

extern "C" {
[[gnu::weak]] void __asan_init();  // NOLINT(bugprone-reserved-identifier): the sanitizers' own entries
[[gnu::weak]] void __tsan_init();  // NOLINT(bugprone-reserved-identifier)
}

namespace mithral::testing {

inline bool has_address_sanitizer() { return &__asan_init != nullptr; }
inline bool has_thread_sanitizer() { return &__tsan_init != nullptr; }

// Why tests are skipped under one of them.
inline constexpr const char* kAllocatorIsLockedAfterFork =
    "AddressSanitizer's allocator has no handler of forks: a child of a process whose other threads allocate may hang";
inline constexpr const char* kNoThreadsAfterFork = "ThreadSanitizer lets no child of a process with threads start any";

}  // namespace mithral::testing
