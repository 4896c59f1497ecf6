#include "runtime/host.h"

#include <cpuinfo_x86.h>

#include <algorithm>

#include "codegen/error.h"
#include "runtime/options.h"

namespace mithral {
namespace {

bool runs(Isa isa, const cpu_features::X86Features& features) {
  switch (isa) {
    case Isa::kAvx2: return features.avx2 != 0;  // cpu_features asks the operating system too (XGETBV)
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

std::optional<Isa> best_isa() {
  std::optional<Isa> best;
  for (const Isa isa : host().runnable) {
    if (!options().isa_cap || isa <= *options().isa_cap) best = isa;
  }
  return best;
}

}  // namespace mithral
