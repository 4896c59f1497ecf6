// A small compiled model, and what tests of its binary descriptions share.
#pragma once

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "codegen/lower.h"
#include "jit/compiled_routines.h"
#include "tests/support/random.h"

namespace mithral::testing {

// All of its routines.
inline const std::vector<codegen::Program>& programs() {
  static const std::vector<codegen::Program> result = [] {
    const Model model = random_model(3, {16, 9, 3, 4});
    const Target target = target_for(all_isas().front());
    return codegen::lower_routines(codegen::lower(model, codegen::choose_schedule(model, target), target));
  }();
  return result;
}

// Compiles on several threads at once; returns how many kernels.
inline int compile_on_threads(const jit::Profiling& profiling) {
  constexpr int kThreads = 4, kEach = 10;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) const jit::CompiledRoutines compiled(programs(), profiling);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return kThreads * kEach;
}

// The T at an offset of a binary file.
template <typename T>
T field(const std::string& bytes, size_t offset) {
  T value{};
  std::memcpy(&value, bytes.substr(offset).data(), sizeof value);
  return value;
}

}  // namespace mithral::testing
