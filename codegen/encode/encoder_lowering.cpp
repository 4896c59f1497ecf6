#include "codegen/encode/encoder_lowering.h"

#include "codegen/encode/trees/trees_lowering.h"
#include "codegen/model/error.h"

namespace mithral::codegen {
namespace {

class GivenCodesLowering : public EncoderLowering {
 public:
  bool is_given() const override { return true; }
  const std::vector<int32_t>& columns() const override { return columns_; }
  bool reads(InputType) const override { return false; }
  double instructions(const Target&) const override { return 0; }
  std::string words() const override { return "codes of the caller's"; }
  Program lower(const CodeLayout&, const Target&, InputType) const override {
    throw InternalError("codes that are given are not encoded");
  }

 private:
  std::vector<int32_t> columns_;
};

std::unique_ptr<const EncoderLowering> make(const HashTrees& trees, const std::vector<int32_t>& others) {
  return std::make_unique<TreesLowering>(trees, others);
}
std::unique_ptr<const EncoderLowering> make(const GivenCodes&, const std::vector<int32_t>&) {
  return std::make_unique<GivenCodesLowering>();
}

}  // namespace

std::unique_ptr<const EncoderLowering> encoder_lowering(const Model& model) {
  return std::visit([&](const auto& kind) { return make(kind, model.linear().dims()); }, model.encoder());
}

std::vector<int32_t> staged_columns(const Model& model, int64_t first_dim) {
  const std::vector<int32_t>& dims = model.linear().dims();
  const std::vector<int32_t> staged(dims.begin() + first_dim, dims.end());
  return std::visit([&](const auto& kind) { return make(kind, staged)->columns(); }, model.encoder());
}

}  // namespace mithral::codegen
