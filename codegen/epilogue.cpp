#include "codegen/epilogue.h"

#include <vector>

namespace mithral::codegen {

Epilogue epilogue_of(Activation activation) {
  switch (activation) {
    case Activation::kNone: return Epilogue::kScaled;
    case Activation::kRelu: return Epilogue::kScaledRelu;
  }
  throw InternalError("unknown activation");
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
