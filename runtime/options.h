// Options from the environment, parsed once. A value that makes no sense is an error, never ignored.
//
//     MITHRAL_ISA       cap: only choose ISAs that run wherever this one does (names: target.h)
//     MITHRAL_BACKEND   backend of kernels that name none: jit, generic, interpreter
//     MITHRAL_THREADS   threads of kernels that name none: 1 to 1024
//     MITHRAL_DUMP      existing folder: every compiled kernel writes its programs, bytes and listing there
//     MITHRAL_CHECK     1: every call also interprets its first rows and compares the bytes; 0 or unset: no
//     MITHRAL_PERF      what perf shall know of emitted code: map (names: /tmp/perf-PID.map), jitdump (names, bytes and
//                       unwind information: jit-PID.dump in the current folder, or in that of JITDUMPDIR), or
//                       map,jitdump
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "codegen/program/target.h"
#include "runtime/backend.h"

namespace mithral {

inline constexpr int64_t kMaxThreads = 1024;

struct Options {
  std::optional<Isa> isa_cap;
  std::optional<Backend> backend;
  std::optional<int64_t> threads;
  std::optional<std::string> dump_folder;
  bool check = false;
  bool perf_map = false;
  std::optional<std::string> jitdump_folder;
};

// Throws InvalidArgument that names the variable, its value and what is allowed. An empty value counts as unset.
Options parse_options(const std::function<const char*(const char* name)>& getenv);

// The process's own, read at the first call.
const Options& options();

}  // namespace mithral
