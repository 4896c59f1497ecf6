// The machine that code is generated for, as data. Nothing here asks the host: code for any ISA can be generated, read
// and tested anywhere. runtime/host.h says which targets this CPU runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mithral {

// Instruction sets that code can be generated for: names of rows of target.cpp, which say what each of them has and
// needs. Their order is only that of preference where a CPU runs several.
enum class Isa : uint8_t {
  kSse41,       // SSE4.1 with SSSE3's byte shuffle, 128-bit vectors (Penryn, Bulldozer and later)
  kAvx2,        // AVX2, FMA and F16C, 256-bit vectors (Haswell, Zen and later)
  kAvx512,      // AVX-512 F, BW, DQ and VL, 512-bit vectors (Skylake-X and later)
  kAvx512Vbmi,  // with VBMI and VNNI: byte permutations and dot products (Ice Lake, Zen 4 and later)
};

inline constexpr size_t kIsaCount = static_cast<size_t>(Isa::kAvx512Vbmi) + 1;

const char* isa_name(Isa isa);               // "sse41", "avx2", "avx512", "avx512_vbmi"
Isa isa_from_name(const std::string& name);  // throws InvalidArgument that lists the names
const std::vector<Isa>& all_isas();          // in order of preference, best last

// Names, as cpu_features has them, of all that a CPU must have to run code of an ISA.
std::span<const std::string_view> required_cpu_features(Isa isa);

// Whether a CPU that has these features has all of them.
bool runs_with(Isa isa, std::span<const std::string_view> cpu_features);

// Whether every CPU that runs code of `other` runs code of `isa`.
bool runs_wherever(Isa isa, Isa other);

// What some targets have and others lack. Every operation names the one that it needs (ops.def).
enum class Feature : uint8_t {
  kAny,            // no feature: any target will do
  kHalfFloats,     // conversion from binary16
  kPermute4,       // a variable permutation of the lanes of a 128-bit segment
  kPermuteAll,     // of all lanes of a vector; there is one wherever a vector is more than a segment
  kPermuteTwo,     // of the lanes of two vectors
  kWordBlends,     // words, or bits, of one register among those of another
  kFusedProducts,  // a product and a difference, rounded once
  kMasks,          // mask registers
  kByteTables,     // look-ups among the 64 bytes of a vector, or the 128 of two
  kByteDots,       // dot products of the four bytes of a lane
};

// A set of features. kAny is in every set.
class FeatureSet {
 public:
  constexpr FeatureSet() = default;
  constexpr FeatureSet(std::initializer_list<Feature> features) {
    for (const Feature feature : features) bits_ |= bit(feature);
  }

  constexpr bool has(Feature feature) const { return (bit(feature) & ~bits_) == 0; }
  constexpr bool contains(FeatureSet other) const { return (other.bits_ & ~bits_) == 0; }
  constexpr FeatureSet with(FeatureSet other) const { return FeatureSet(bits_ | other.bits_); }
  constexpr FeatureSet without(FeatureSet other) const { return FeatureSet(bits_ & ~other.bits_); }
  friend constexpr bool operator==(FeatureSet, FeatureSet) = default;

 private:
  constexpr explicit FeatureSet(uint32_t bits) : bits_(bits) {}
  static constexpr uint32_t bit(Feature feature) {
    return feature == Feature::kAny ? 0 : uint32_t{1} << static_cast<int>(feature);
  }

  uint32_t bits_ = 0;
};

// One group of rows: without prefetching them, row-major input is read up to 3.7 times slower on a Zen 3, whose
// hardware does not see through the strides; longer distances cost 10 % on an Ice Lake.
inline constexpr int kPrefetchRows = 8;

// Stores past the caches pay once what a call reads and writes does not stay in the last-level cache until the next
// one: taken as three quarters of it. On a Zen 3 (32 MB) they write 29 GB/s to memory, ordinary ones 16. On an Ice
// Lake, whose cache is shared with strangers, 25 and 9: whole calls take 0.55 to 0.75 of the time on columns, 0.8 to
// 0.9 on rows. There they pay from 4 MB on, but whoever reads the outputs next would wait for memory: 16 MB are a
// compromise.
inline constexpr int64_t kMegabyte = 1024 * 1024;
inline constexpr int64_t kStreamBytes = 24 * kMegabyte;

// Facts of a machine. Values that stand here are those of most CPUs, or of the smallest; target.cpp names others.
struct Target {
  Isa isa;                       // whose backend encodes it
  FeatureSet features;           // that operations may need
  int vector_bytes;              // bytes of a vector register
  int n_vector_regs;             // registers that programs may use; backends may keep others for themselves
  int n_pointer_regs = 14;       // general registers that emitted code may use: all but those of stack and arguments
  int64_t l1_bytes = 32 * 1024;  // data cache, per core
  int64_t l2_bytes = 256 * 1024;
  int64_t stream_bytes = kStreamBytes;  // what touches so many bytes had better write past the caches
  double shuffles_per_cycle = 1;        // byte shuffles of a whole vector
  double gigahertz = 3;                 // of a busy core
  double memory_gigabytes = 12;         // a second, that one core reads or writes
  int prefetch_rows = kPrefetchRows;    // row-major input: how many rows ahead to prefetch; 0: none

  int lanes() const { return vector_bytes / 4; }  // 32-bit lanes of a vector
  bool has(Feature feature) const { return features.has(feature); }
};

// Facts of an ISA, with the cache sizes of the smallest CPUs that have it. `microarchitecture` adds what is known of
// one by its name in cpu_features ("AMD_ZEN3"); unknown names add nothing. `cpu_features` add what an ISA's code makes
// use of without requiring it: "avx_vnni" gives avx2 dot products of bytes.
Target target_for(Isa isa, const std::string& microarchitecture = "",
                  std::span<const std::string_view> cpu_features = {});

}  // namespace mithral
