// The machine that code is generated for, as data. Nothing here asks the host: code for any ISA can be generated, read
// and tested anywhere. runtime/host.h says which targets this CPU runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace mithral {

// Instruction sets that code can be generated for, in rising order.
enum class Isa : uint8_t {
  kSse41,       // SSE4.1 with SSSE3's byte shuffle, 128-bit vectors (Penryn, Bulldozer and later)
  kAvx2,        // AVX2, FMA and F16C, 256-bit vectors (Haswell, Zen and later)
  kAvx512,      // AVX-512 F, BW, DQ and VL, 512-bit vectors (Skylake-X and later)
  kAvx512Vbmi,  // with VBMI and VNNI: byte permutations and dot products (Ice Lake, Zen 4 and later)
};

inline constexpr size_t kIsaCount = static_cast<size_t>(Isa::kAvx512Vbmi) + 1;

const char* isa_name(Isa isa);               // "sse41", "avx2", "avx512", "avx512_vbmi"
Isa isa_from_name(const std::string& name);  // throws InvalidArgument that lists the names
const std::vector<Isa>& all_isas();          // rising order, best last

// What some ISAs have and others lack. Every operation names the one that it needs (ops.def).
enum class Feature : uint8_t {
  kAny,         // any ISA will do
  kHalfFloats,  // conversion from binary16
  kPermute4,    // a variable permutation of the lanes of a 128-bit segment
  kPermute8,    // of the 8 lanes of a 256-bit vector
  kPermute16,   // of the 16 lanes of a 512-bit vector, or of 32 of two
  kBiasedSums,  // words of one register among those of another, and a product and a difference, rounded once
                // (epilogue.h)
  kMasks,       // mask registers
  kByteTables,  // look-ups among 64 or 128 bytes
  kByteSums,    // sums of the four bytes of a lane
};

constexpr bool has_feature(Isa isa, Feature feature) {
  switch (feature) {
    case Feature::kAny: return true;
    case Feature::kHalfFloats:
    case Feature::kPermute4: return isa >= Isa::kAvx2;
    case Feature::kPermute8: return isa == Isa::kAvx2;
    case Feature::kBiasedSums: return isa == Isa::kAvx2;
    case Feature::kPermute16:
    case Feature::kMasks: return isa >= Isa::kAvx512;
    case Feature::kByteTables:
    case Feature::kByteSums: return isa >= Isa::kAvx512Vbmi;
  }
  return false;
}

// One group of rows: without prefetching them, row-major input is read up to 3.7 times slower on a Zen 3, whose
// hardware does not see through the strides; longer distances cost 10 % on an Ice Lake.
inline constexpr int kPrefetchRows = 8;

struct Target {
  Isa isa;
  int vector_bytes;    // bytes of a vector register
  int n_vector_regs;   // registers that programs may use; backends may keep others for themselves
  int n_pointer_regs;  // general registers that emitted code may use
  int64_t l1_bytes;    // data cache, per core
  int64_t l2_bytes;
  int64_t stream_bytes;       // what touches so many bytes had better write past the caches
  double shuffles_per_cycle;  // byte shuffles of a whole vector
  double gigahertz;           // of a busy core
  double memory_gigabytes;    // a second, that one core reads or writes
  int prefetch_rows;          // row-major input: how many rows ahead to prefetch; 0: none

  int lanes() const { return vector_bytes / 4; }  // 32-bit lanes of a vector
  bool has(Feature feature) const { return has_feature(isa, feature); }
};

// Facts of an ISA, with the cache sizes of the smallest CPUs that have it. `microarchitecture` adds what is known of
// one by its name in cpu_features ("AMD_ZEN3"); unknown names add nothing.
Target target_for(Isa isa, const std::string& microarchitecture = "");

}  // namespace mithral
