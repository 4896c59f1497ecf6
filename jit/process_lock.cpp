#include "jit/process_lock.h"

#include <pthread.h>

namespace mithral::jit {
namespace {

std::mutex lock;

}  // namespace

std::mutex& process_lock() {
  static const int registered = pthread_atfork([] { lock.lock(); }, [] { lock.unlock(); }, [] { lock.unlock(); });
  static_cast<void>(registered);  // without memory for it, forks are as they would be without this
  return lock;
}

}  // namespace mithral::jit
