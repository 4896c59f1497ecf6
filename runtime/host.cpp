#include "runtime/host.h"

#include <cpuinfo_x86.h>
#include <sched.h>

#include <algorithm>

#include "codegen/model/error.h"
#include "runtime/options.h"

namespace mithral {
namespace {

// cpu_features reports a feature only if the operating system saves its registers as well (XGETBV).
bool runs(Isa isa, const cpu_features::X86Features& features) {
  const cpu_features::X86Features& f = features;
  switch (isa) {
    case Isa::kSse41: return f.ssse3 && f.sse4_1;
    case Isa::kAvx2: return f.avx2 && f.fma3 && f.f16c;
    case Isa::kAvx512: return f.avx512f && f.avx512bw && f.avx512dq && f.avx512vl;
    case Isa::kAvx512Vbmi: return runs(Isa::kAvx512, f) && f.avx512vbmi && f.avx512vnni;
  }
  return false;
}

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
  for (const Isa isa : all_isas()) {
    if (runs(isa, info.features)) host.runnable.push_back(isa);
  }
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

Target host_target(Isa isa) { return target_for(isa, host().microarchitecture); }

std::optional<Isa> best_isa() {
  std::optional<Isa> best;
  for (const Isa isa : host().runnable) {
    if (!options().isa_cap || isa <= *options().isa_cap) best = isa;
  }
  return best;
}

}  // namespace mithral
