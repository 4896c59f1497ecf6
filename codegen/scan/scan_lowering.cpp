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

// Each output's look-ups are summed, then the linear dims of all of them at once.
void ScanLowering::lower_outputs(Preg codes, int blocks, int outputs, const StoreLanes& store) {
  if (outputs == 1) return lower_output(codes, blocks, store);
  ensure(!biased_sums_, "sums with linear dims are converted as they are");
  const int64_t bytes_of_output = plan_.lookup_tables.bytes_of_output();
  LinearSums::Sums sums(outputs);
  for (int output = 0; output < outputs; ++output) {
    sums_->add(codes, output == 0 ? tables_ : b_.add_imm(tables_, output * bytes_of_output), blocks);
    for (int block = 0; block < blocks; ++block) {
      for (const Vreg lanes : sums_->lanes(block)) sums[output].push_back(lanes);
    }
  }
  linear_.add_to_rows(sums, codes, 0, weights(), bytes_of_output);
  for (int output = 0; output < outputs; ++output) {
    const Scaling scaled = scaling(output);
    int64_t row = 0;
    for (const Vreg lanes : sums[output]) {
      store(output, row, scaled.output(lanes));
      row += target_.lanes();
    }
  }
}

void ScanLowering::lower_output(Preg codes, int blocks, const StoreLanes& store) {
  sums_->add(codes, tables_, blocks);
  const Scaling scaled = scaling(0);
  const int at_once = blocks_with_linear(blocks);
  for (int first = 0; first < blocks; first += at_once) {
    LinearSums::Sums sums(1);
    for (int block = first; block < first + at_once; ++block) {
      for (const Vreg lanes : scaled.sums(block)) sums[0].push_back(lanes);
    }
    if (!plan_.linear.empty()) linear_.add_to_rows(sums, codes, first, weights(), 0);
    for (size_t i = 0; i < sums[0].size(); ++i) {
      store(0, first * block_rows() + static_cast<int64_t>(i) * target_.lanes(), scaled.output(sums[0][i]));
    }
  }
}

// Blocks whose linear dims are added at once: enough vectors of sums to hide latencies.
int ScanLowering::blocks_with_linear(int blocks) const {
  return plan_.codes.packing == CodeLayout::Packing::kFourCodebooks ? blocks : 1;
}

ScanLowering::Scaling ScanLowering::scaling(int output_number) {
  const auto lanes = [this](int block) { return sums_->lanes(block); };
  if (!is_scaled(epilogue_)) return {lanes, [](Vreg sums) { return sums; }};
  const int64_t pair = 2 * kFloatBytes * output_number;
  const Vreg scale = b_.broadcast_32(at(scales_, pair));
  const Vreg offset = b_.broadcast_32(at(scales_, pair + kFloatBytes));
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
  for_linear_outputs(outputs, [&](int at_once) {
    lower_outputs(codes, blocks, at_once, [&](int output, int64_t row, Vreg values) {
      b_.store(at(column, output * tile_column_bytes() + row * kFloatBytes), values);
    });
    advance_outputs(at_once);
    b_.advance(column, at_once * tile_column_bytes());
  });
  advance_outputs(-outputs);
}

}  // namespace mithral::codegen
