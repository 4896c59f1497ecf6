// Targets for tests: those of the ISAs, and others that are only described, as data.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "codegen/program/target.h"
#include "runtime/host.h"

namespace mithral::testing {

struct NamedTarget {
  std::string name;
  Target target;
  bool is_emitted = true;  // by the backend of target.isa; or else only interpreted
};

inline NamedTarget with_features(const char* name, Isa isa, FeatureSet features, bool is_emitted) {
  NamedTarget result{name, target_for(isa), is_emitted};
  result.target.features = features;
  return result;
}

// Targets that no ISA is the name of: parts of what a backend encodes, or what a future one might.
inline std::vector<NamedTarget> described_targets() {
  using enum Feature;
  const FeatureSet avx2 = target_for(Isa::kAvx2).features, avx512 = target_for(Isa::kAvx512).features;
  NamedTarget avx10_256 = with_features("avx10_256", Isa::kAvx512, avx512.with({kByteDots}), false);
  avx10_256.target.vector_bytes = 32;
  avx10_256.target.n_vector_regs = 32;
  const FeatureSet vbmi = target_for(Isa::kAvx512Vbmi).features;
  return {
      with_features("avx2_without_fma", Isa::kAvx2, avx2.without({kFusedProducts}), true),
      with_features("avx2_without_f16c", Isa::kAvx2, avx2.without({kHalfFloats}), true),
      with_features("avx2_with_vnni", Isa::kAvx2, avx2.with({kByteDots}), true),
      with_features("avx512_vbmi_without_vnni", Isa::kAvx512Vbmi, avx512.with({kByteTables}), true),
      with_features("avx512_vnni_without_vbmi", Isa::kAvx512Vbmi, avx512.with({kByteDots}), true),
      with_features("byte_dots_with_biased_sums", Isa::kAvx512Vbmi, vbmi.with({kWordBlends, kFusedProducts}), false),
      with_features("byte_tables_without_masks", Isa::kAvx512Vbmi, vbmi.without({kMasks}), true),
      avx10_256};
}

inline std::vector<NamedTarget> isas_and_described_targets() {
  std::vector<NamedTarget> result = described_targets();
  for (const Isa isa : all_isas()) result.push_back({isa_name(isa), target_for(isa)});
  return result;
}

// Whether this CPU executes code for a target.
inline bool host_executes(const NamedTarget& named) {
  return named.is_emitted && host_runs(named.target.isa) &&
         (!named.target.has(Feature::kByteDots) || host_target(named.target.isa).has(Feature::kByteDots));
}

inline void PrintTo(const NamedTarget& target, std::ostream* out) { *out << target.name; }

}  // namespace mithral::testing
