// Guards what all kernels of a process share with its debugger and profiler.
#pragma once

#include <mutex>

namespace mithral::jit {

// A fork waits until nobody holds it, so that the child finds everything whole and the lock free.
std::mutex& process_lock();

}  // namespace mithral::jit
