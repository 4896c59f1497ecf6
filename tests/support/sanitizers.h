// Which sanitizers this program is built with, 1 or 0: GCC says it by macros, clang by features.
#pragma once

#ifdef __has_feature
#define MITHRAL_HAS_FEATURE(feature) __has_feature(feature)
#else
#define MITHRAL_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || MITHRAL_HAS_FEATURE(address_sanitizer)
#define MITHRAL_ADDRESS_SANITIZER 1
#else
#define MITHRAL_ADDRESS_SANITIZER 0
#endif

#if defined(__SANITIZE_THREAD__) || MITHRAL_HAS_FEATURE(thread_sanitizer)
#define MITHRAL_THREAD_SANITIZER 1
#else
#define MITHRAL_THREAD_SANITIZER 0
#endif

namespace mithral::testing {

// Why tests are skipped under one of them.
inline constexpr const char* kAllocatorIsLockedAfterFork =
    "AddressSanitizer's allocator has no handler of forks: a child of a process whose other threads allocate may hang";
inline constexpr const char* kNoThreadsAfterFork = "ThreadSanitizer lets no child of a process with threads start any";

}  // namespace mithral::testing
