#include "codegen/scan/epilogue.h"

#include <cmath>
#include <vector>

#include "codegen/model/error.h"

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

}  // namespace mithral::codegen
