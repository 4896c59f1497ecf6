// What this CPU is and can run.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/program/target.h"

namespace mithral {

struct Host {
  std::string vendor;                 // "GenuineIntel", "AuthenticAMD", ...
  std::string brand;                  // the CPU's own name
  std::string microarchitecture;      // cpu_features' name, e.g. "INTEL_ICL", "AMD_ZEN3"
  std::vector<std::string> features;  // cpu_features' names of what the CPU and the operating system both provide
  std::vector<Isa> runnable;          // ISAs that emitted code may use here, best last
};

// Detected once, at the first call.
const Host& host();

bool host_runs(Isa isa);

// The ISAs that a CPU with these features (cpu_features' names) runs, in order of preference.
std::vector<Isa> runnable_isas(std::span<const std::string_view> cpu_features);

// How many CPUs the calling thread may run on now; at least 1.
int64_t usable_cpus();

// Code of an ISA for this CPU: with what is known of its microarchitecture, and what it has beyond what the ISA
// requires, unless MITHRAL_ISA names less.
Target host_target(Isa isa);

// The last of `runnable` that requires nothing of a CPU that `cap` does not; none where there is none.
std::optional<Isa> best_isa(const std::vector<Isa>& runnable, std::optional<Isa> cap);

// The best ISA that this CPU runs and for which code can be generated, capped by MITHRAL_ISA; none where there is none.
std::optional<Isa> best_isa();

}  // namespace mithral
