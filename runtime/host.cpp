#include "runtime/host.h"

#include <cpuid.h>
#include <cpuinfo_x86.h>
#include <sched.h>

#include <algorithm>

#include "codegen/model/error.h"
#include "runtime/options.h"

namespace mithral {
namespace {

constexpr const char* kAvxVnni = "avx_vnni";

std::vector<std::string_view> views(const std::vector<std::string>& names) { return {names.begin(), names.end()}; }

// AVX-VNNI, which cpu_features knows from version 0.8 on. It needs no more of the operating system than AVX2 does.
bool has_avx_vnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax >> 4 & 1) != 0;
}

// cpu_features reports a feature only if the operating system saves its registers as well (XGETBV).
Host detect() {
  using namespace cpu_features;
  const X86Info info = GetX86Info();

  Host host;
  host.vendor = info.vendor;
  host.brand = info.brand_string;
  host.brand.erase(0, host.brand.find_first_not_of(' '));
  host.microarchitecture = GetX86MicroarchitectureName(GetX86Microarchitecture(&info));
  for (int i = 0; i < X86_LAST_; ++i) {
    const auto feature = static_cast<X86FeaturesEnum>(i);
    if (GetX86FeaturesEnumValue(&info.features, feature)) host.features.push_back(GetX86FeaturesEnumName(feature));
  }
  const bool is_listed = std::find(host.features.begin(), host.features.end(), kAvxVnni) != host.features.end();
  if (!is_listed && runs_with(Isa::kAvx2, views(host.features)) && has_avx_vnni()) host.features.push_back(kAvxVnni);
  host.runnable = runnable_isas(views(host.features));
  return host;
}

}  // namespace

const Host& host() {
  static const Host detected = detect();
  return detected;
}

bool host_runs(Isa isa) {
  const std::vector<Isa>& runnable = host().runnable;
  return std::find(runnable.begin(), runnable.end(), isa) != runnable.end();
}

int64_t usable_cpus() {
  cpu_set_t sets[8] = {};  // the system refuses sets that are too small for its CPUs; a cpu_set_t is for 1024
  if (sched_getaffinity(0, sizeof sets, sets) != 0) return 1;
  return std::max(CPU_COUNT_S(sizeof sets, sets), 1);
}

Target host_target(Isa isa) {
  const std::optional<Isa> cap = options().isa_cap;
  if (cap) return target_for(isa, host().microarchitecture, required_cpu_features(*cap));
  return target_for(isa, host().microarchitecture, views(host().features));
}

std::vector<Isa> runnable_isas(std::span<const std::string_view> cpu_features) {
  std::vector<Isa> result;
  for (const Isa isa : all_isas()) {
    if (runs_with(isa, cpu_features)) result.push_back(isa);
  }
  return result;
}

std::optional<Isa> best_isa(const std::vector<Isa>& runnable, std::optional<Isa> cap) {
  std::optional<Isa> best;
  for (const Isa isa : runnable) {
    if (!cap || runs_wherever(isa, *cap)) best = isa;
  }
  return best;
}

std::optional<Isa> best_isa() { return best_isa(host().runnable, options().isa_cap); }

}  // namespace mithral
