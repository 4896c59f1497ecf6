#include "codegen/scan/scan_lowering.h"

namespace mithral::codegen {

ScanLowering::ScanLowering(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue)
    : plan_(plan),
      target_(target),
      epilogue_(epilogue),
      biased_sums_(target.features.contains(kBiasedSumsNeed) && plan.biased_products_are_exact && plan.linear.empty()),
      b_({kind}, target),
      sums_(sum_lookups(b_, plan)),
      linear_(b_, plan) {}

void ScanLowering::advance_outputs(int64_t count) {
  b_.advance(tables_, count * plan_.lookup_tables.bytes_of_output());
  if (is_scaled(epilogue_)) b_.advance(scales_, count * 2 * kFloatBytes);
}

void ScanLowering::lower_output(Preg codes, int blocks, const StoreLanes& store) {
  sums_->add(codes, tables_, blocks);
  const Scaling scaled = scaling();
  const int at_once = blocks_with_linear(blocks);
  for (int first = 0; first < blocks; first += at_once) {
    std::vector<Vreg> vectors;
    for (int block = first; block < first + at_once; ++block) {
      for (const Vreg sums : scaled.sums(block)) vectors.push_back(sums);
    }
    if (!plan_.linear.empty()) {
      linear_.add_to_rows(vectors, codes, first, at(tables_, plan_.lookup_tables.bytes_of_codebooks()));
    }
    for (size_t i = 0; i < vectors.size(); ++i) {
      store(first * block_rows() + static_cast<int64_t>(i) * target_.lanes(), scaled.output(vectors[i]));
    }
  }
}

// Blocks whose linear dims are added at once: enough vectors of sums to hide latencies.
int ScanLowering::blocks_with_linear(int blocks) const {
  return plan_.codes.packing == CodeLayout::Packing::kFourCodebooks ? blocks : 1;
}

ScanLowering::Scaling ScanLowering::scaling() {
  const auto lanes = [this](int block) { return sums_->lanes(block); };
  if (!is_scaled(epilogue_)) return {lanes, [](Vreg sums) { return sums; }};
  const Vreg scale = b_.broadcast_32(at(scales_));
  const Vreg offset = b_.broadcast_32(at(scales_, kFloatBytes));
  const auto output = [this, offset](Vreg products) { return activate(b_, epilogue_, b_.add_f32(products, offset)); };
  if (!biased_sums_) {
    return {lanes, [this, scale, output](Vreg sums) { return output(b_.mul_f32(b_.i32_to_f32(sums), scale)); }};
  }
  const Vreg bias = b_.broadcast_value("2^23", std::bit_cast<uint32_t>(kFloatBias));
  const Vreg scaled_bias = b_.mul_f32(scale, bias);
  return {[this, bias](int block) { return sums_->biased_lanes(block, bias); },
          [this, scale, scaled_bias, output](Vreg sums) {
            b_.mul_sub_f32_to(sums, sums, scale, scaled_bias);  // another register would cost a move
            return output(sums);
          }};
}

void ScanLowering::fill_tile(Preg codes, Preg column, int blocks, int outputs) {
  b_.repeat(b_.set(outputs), [&] {
    lower_output(codes, blocks, [&](int64_t row, Vreg values) { b_.store(at(column, row * kFloatBytes), values); });
    advance_outputs(1);
    b_.advance(column, tile_column_bytes());
  });
  advance_outputs(-outputs);
}

}  // namespace mithral::codegen
