#include "codegen/scan/first_lanes.h"

#include <algorithm>

#include "codegen/program/sizes.h"

namespace mithral::codegen {

void store_first_lanes(ProgramBuilder& b, Mem m, Vreg outputs, int count) {
  constexpr int kSegmentLanes = kSegmentBytes / kFloatBytes;
  if (count == b.target().lanes()) return b.store(m, outputs);
  if (b.target().has(Feature::kMasks)) return b.store_first(m, outputs, count);
  for (int segment = 0; kSegmentLanes * segment < count; ++segment) {
    const Vreg four = segment == 0 ? outputs : b.segment(outputs, segment);
    b.store_lanes(behind(m, segment * kSegmentBytes), four, std::min(count - kSegmentLanes * segment, kSegmentLanes));
  }
}

}  // namespace mithral::codegen
