#include "codegen/program/target.h"

#include <algorithm>
#include <iterator>

#include "codegen/model/error.h"

namespace mithral {
namespace {

using enum Feature;

struct IsaFacts {
  const char* name;
  std::span<const std::string_view> cpu;  // the CPU features that it requires
  Target target;
};

// What each requires of a CPU, in full: the ISAs that MITHRAL_ISA allows are those that require nothing more.
constexpr std::string_view kSse41Cpu[] = {"ssse3", "sse4_1"};
constexpr std::string_view kAvx2Cpu[] = {"ssse3", "sse4_1", "avx2", "fma3", "f16c"};
constexpr std::string_view kAvx512Cpu[] = {"ssse3",   "sse4_1",   "avx2",     "fma3",    "f16c",
                                           "avx512f", "avx512bw", "avx512dq", "avx512vl"};
constexpr std::string_view kAvx512VbmiCpu[] = {"ssse3",    "sse4_1",   "avx2",     "fma3",       "f16c",      "avx512f",
                                               "avx512bw", "avx512dq", "avx512vl", "avx512vbmi", "avx512vnni"};

// One row per ISA, in the order of the enum. Instructions of two operands take two registers as scratch (SSE), masked
// ones one (AVX-512).
constexpr IsaFacts kIsaFacts[] = {
    {"sse41", kSse41Cpu, {.isa = Isa::kSse41, .features = {}, .vector_bytes = 16, .n_vector_regs = 14}},
    {"avx2",
     kAvx2Cpu,
     {.isa = Isa::kAvx2,
      .features = {kHalfFloats, kPermute4, kPermuteAll, kWordBlends, kFusedProducts},
      .vector_bytes = 32,
      .n_vector_regs = 16}},
    {"avx512",
     kAvx512Cpu,
     {.isa = Isa::kAvx512,
      .features = {kHalfFloats, kPermute4, kPermuteAll, kPermuteTwo, kMasks},
      .vector_bytes = 64,
      .n_vector_regs = 31,
      .l2_bytes = 1024 * 1024}},
    {"avx512_vbmi",
     kAvx512VbmiCpu,
     {.isa = Isa::kAvx512Vbmi,
      .features = {kHalfFloats, kPermute4, kPermuteAll, kPermuteTwo, kMasks, kByteTables, kByteDots},
      .vector_bytes = 64,
      .n_vector_regs = 31,
      .l2_bytes = 512 * 1024}},
};

struct MicroarchitectureFacts {
  const char* name;  // cpu_features'
  int64_t l1_bytes;
  int64_t l2_bytes;
  int64_t stream_bytes;
  double shuffles_per_cycle[2];  // of vectors of up to 256 bits, of 512
  double gigahertz;
  double memory_gigabytes;
  int prefetch_rows;
};

// Byte shuffles a cycle: uops.info. Clock and memory, with which the cost model orders candidates: measured on an Ice
// Lake (11 GB/s) and a Zen 3 (21), of their neighbours assumed. Cache sizes: the vendors' optimisation manuals, of
// server parts where they differ. Skylake has no row: cpu_features has one name for its client and server parts, which
// the ISA tells apart. Which permutation to use needs no column: where vpermps is slow (once a cycle on Zen 2 and 3,
// against two vpermilps) the two vpermilps and the blend that replace it are no faster, and gathers (0.8 elements a
// cycle on Zen 3, against two scalar loads) are used nowhere. Nor does any CPU get narrower vectors than it has: on
// Intel's, llvm-mca (make static-cost) gives the 512-bit loops 0.5 to 0.7 times the cycles of avx2's; on Zen 4, which
// takes two passes for them, 0.8 to 1.2 by a model that is rough there.
constexpr MicroarchitectureFacts kMicroarchitectureFacts[] = {
    {"INTEL_ICL", 48 * 1024, 1280 * 1024, 16 * kMegabyte, {2, 1}, 2.8, 11, 0},  // prefetching costs 5 %
    {"INTEL_SPR", 48 * 1024, 2048 * 1024, 16 * kMegabyte, {2, 1}, 3.0, 12, 0},  // as its predecessor
    {"AMD_ZEN2", 32 * 1024, 512 * 1024, kStreamBytes / 2, {2, 1}, 3.2, 18, kPrefetchRows},
    {"AMD_ZEN3", 32 * 1024, 512 * 1024, kStreamBytes, {2, 1}, 3.2, 21, kPrefetchRows},
    {"AMD_ZEN4", 32 * 1024, 1024 * 1024, kStreamBytes, {2, 1}, 3.7, 24, kPrefetchRows},
};

// A feature that a CPU may have beyond what an ISA requires, and that the ISA's backend encodes.
struct OptionalFeature {
  Isa isa;
  std::string_view cpu;
  Feature feature;
};

constexpr OptionalFeature kOptionalFeatures[] = {
    {Isa::kAvx2, "avx_vnni", kByteDots},  // Alder Lake and later, Zen 5
};

constexpr bool rows_follow_the_enum() {
  for (size_t i = 0; i < std::size(kIsaFacts); ++i) {
    if (kIsaFacts[i].target.isa != static_cast<Isa>(i)) return false;
  }
  return std::size(kIsaFacts) == kIsaCount;
}
static_assert(rows_follow_the_enum(), "kIsaFacts has one row per ISA, in the order of the enum");

bool names(std::span<const std::string_view> cpu_features, std::string_view name) {
  return std::find(cpu_features.begin(), cpu_features.end(), name) != cpu_features.end();
}

const IsaFacts& facts(Isa isa) { return kIsaFacts[static_cast<size_t>(isa)]; }

}  // namespace

const std::vector<Isa>& all_isas() {
  static const std::vector<Isa> isas = [] {
    std::vector<Isa> list;
    for (const IsaFacts& row : kIsaFacts) list.push_back(row.target.isa);
    return list;
  }();
  return isas;
}

std::span<const std::string_view> required_cpu_features(Isa isa) { return facts(isa).cpu; }

bool runs_with(Isa isa, std::span<const std::string_view> cpu_features) {
  const std::span<const std::string_view> needed = required_cpu_features(isa);
  return std::all_of(needed.begin(), needed.end(), [&](std::string_view name) { return names(cpu_features, name); });
}

bool runs_wherever(Isa isa, Isa other) { return runs_with(isa, required_cpu_features(other)); }

const char* isa_name(Isa isa) { return facts(isa).name; }

Isa isa_from_name(const std::string& name) {
  std::string allowed;
  for (const IsaFacts& row : kIsaFacts) {
    if (name == row.name) return row.target.isa;
    allowed += allowed.empty() ? row.name : std::string(", ") + row.name;
  }
  throw InvalidArgument(message("unknown ISA '", name, "'; allowed: ", allowed));
}

Target target_for(Isa isa, const std::string& microarchitecture, std::span<const std::string_view> cpu_features) {
  Target target = facts(isa).target;
  for (const OptionalFeature& row : kOptionalFeatures) {
    if (row.isa == isa && names(cpu_features, row.cpu)) target.features = target.features.with({row.feature});
  }
  for (const MicroarchitectureFacts& row : kMicroarchitectureFacts) {
    if (microarchitecture != row.name) continue;
    target.l1_bytes = row.l1_bytes;
    target.l2_bytes = row.l2_bytes;
    target.stream_bytes = row.stream_bytes;
    target.shuffles_per_cycle = row.shuffles_per_cycle[target.vector_bytes > 32 ? 1 : 0];
    target.gigahertz = row.gigahertz;
    target.memory_gigabytes = row.memory_gigabytes;
    target.prefetch_rows = row.prefetch_rows;
  }
  return target;
}

}  // namespace mithral
