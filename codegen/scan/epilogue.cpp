#include "codegen/scan/epilogue.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace mithral::codegen {

Epilogue epilogue_of(Activation activation) {
  switch (activation) {
    case Activation::kNone: return Epilogue::kScaled;
    case Activation::kRelu: return Epilogue::kScaledRelu;
  }
  throw InternalError("unknown activation");
}

bool biased_products_are_exact(const Tables& tables) {
  for (int64_t m = 0; m < tables.n_outputs(); ++m) {
    const float scale = tables.scale()[m], offset = tables.offset()[m];
    if (!std::isfinite(scale * kFloatBias)) return false;
    if (std::signbit(scale) && std::signbit(offset) && offset == 0) return false;
  }
  return true;
}

Vreg activate(ProgramBuilder& b, Epilogue epilogue, Vreg scaled) {
  switch (epilogue) {
    case Epilogue::kSum: break;
    case Epilogue::kScaled: return scaled;
    case Epilogue::kScaledRelu: {
      const int bytes = b.target().vector_bytes;
      return b.max_f32_m(scaled, at(b.constant("zeros", bytes, std::vector<uint8_t>(bytes))));
    }
  }
  throw InternalError("sums are not scaled");
}

void store_first_lanes(ProgramBuilder& b, Mem m, Vreg outputs, int count) {
  constexpr int kSegmentLanes = 4, kSegmentBytes = 16;
  if (count == b.target().lanes()) return b.store(m, outputs);
  if (b.target().has(Feature::kMasks)) return b.store_first(m, outputs, count);
  for (int segment = 0; kSegmentLanes * segment < count; ++segment, m.disp += kSegmentBytes) {
    const Vreg four = segment == 0 ? outputs : b.segment(outputs, segment);
    b.store_lanes(m, four, std::min(count - kSegmentLanes * segment, kSegmentLanes));
  }
}

}  // namespace mithral::codegen
