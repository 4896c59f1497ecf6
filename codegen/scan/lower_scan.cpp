#include "codegen/scan/lower_scan.h"

#include <algorithm>

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
  if (epilogue_ != Epilogue::kSum) b_.advance(scales_, count * 2 * kFloatBytes);
}

void ScanLowering::lower_tile(Preg codes, int blocks, const StoreLanes& store) {
  sums_->add(codes, tables_, blocks);
  const Finish finish = epilogue();
  const int at_once = blocks_with_linear(blocks);
  for (int first = 0; first < blocks; first += at_once) {
    std::vector<Vreg> vectors;
    for (int block = first; block < first + at_once; ++block) {
      for (const Vreg sums : finish.sums(block)) vectors.push_back(sums);
    }
    if (!plan_.linear.empty()) {
      linear_.add_to_rows(vectors, codes, first, at(tables_, plan_.lookup_tables.bytes_of_codebooks()));
    }
    for (size_t i = 0; i < vectors.size(); ++i) {
      store(first * block_rows() + static_cast<int64_t>(i) * target_.lanes(), finish.output(vectors[i]));
    }
  }
}

// Blocks whose linear dims are added at once: enough vectors of sums to hide latencies.
int ScanLowering::blocks_with_linear(int blocks) const {
  return plan_.codes.packing == CodeLayout::Packing::kFourCodebooks ? blocks : 1;
}

ScanLowering::Finish ScanLowering::epilogue() {
  const auto lanes = [this](int block) { return sums_->lanes(block); };
  if (epilogue_ == Epilogue::kSum) return {lanes, [](Vreg sums) { return sums; }};
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

void ScanLowering::fill_tile(Preg codes, Preg tile, int blocks, int outputs) {
  const Preg column = tile;
  b_.repeat(b_.set(outputs), [&] {
    lower_tile(codes, blocks, [&](int64_t row, Vreg values) { b_.store(at(column, row * kFloatBytes), values); });
    advance_outputs(1);
    b_.advance(column, tile_column_bytes());
  });
  advance_outputs(-outputs);
}

namespace {

// Column-major outputs: output by output, straight from registers.
class ScanToColumns : public ScanLowering {
 public:
  ScanToColumns(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue)
      : ScanLowering(kind, plan, target, epilogue), kind_(kind) {}

  Program run() {
    const Preg column = b_.arg(Arg::y);
    point_to_first_output(Arg::tables, Arg::scales);
    const bool is_range = kind_ == RoutineKind::kRangeToColumns;
    b_.repeat(is_range ? b_.arg(Arg::n_outputs) : b_.set(n_outputs()), [&] {
      const Preg codes = b_.arg(Arg::codes);
      const Preg y = b_.copy(column);
      for_tiles(Arg::n_blocks, [&](int blocks) {
        lower_tile(codes, blocks, [&](int64_t row, Vreg values) { store(at(y, row * kFloatBytes), values); });
        b_.advance(codes, blocks * block_bytes());
        b_.advance(y, blocks * block_rows() * kFloatBytes);
      });
      advance_outputs(1);
      b_.add_to(column, column, b_.arg(Arg::stride));
    });
    return b_.finish();
  }

 private:
  using Arg = ScanArguments::Index;

  void store(Mem y, Vreg values) {
    kind_ == RoutineKind::kStreamToColumns ? b_.stream(y, values) : b_.store(y, values);
  }

  RoutineKind kind_;
};

// Row-major outputs: `tile_outputs` outputs at a time go to a column-major tile in L1, then out of it as pieces of
// rows.
class ScanToRows : public ScanLowering {
 public:
  ScanToRows(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue)
      : ScanLowering(kind, plan, target, epilogue) {}

  Program run() {
    y_ = b_.arg(Arg::y);
    point_to_first_output(Arg::tables, Arg::scales);
    for_outputs(plan_.scan.tile_outputs, [&](int outputs) { lower_outputs(outputs); });
    return b_.finish();
  }

 private:
  using Arg = ScanArguments::Index;

  void lower_outputs(int outputs) {
    const Preg codes = b_.arg(Arg::codes);
    const Preg rows = b_.copy(y_);
    for_tiles(Arg::n_blocks, [&](int blocks) {
      fill_tile(codes, b_.arg(Arg::tile), blocks, outputs);
      write_rows(rows, blocks, outputs);
      b_.advance(codes, blocks * block_bytes());
    });
    advance_outputs(outputs);
    b_.advance(y_, int64_t{outputs} * kFloatBytes);
  }

  // Four rows at a time; `rows` ends after the last one.
  void write_rows(Preg rows, int blocks, int outputs) {
    const Preg from = b_.arg(Arg::tile);
    const Preg row_stride = b_.arg(Arg::stride);
    b_.repeat(b_.set(blocks * block_rows() / 4), [&] {
      const Preg row_2 = b_.add(rows, row_stride);
      const Preg row_3 = b_.add(row_2, row_stride);
      const Preg row_4 = b_.add(row_3, row_stride);
      for (int first = 0, count = 0; first < outputs; first += count) {
        count = piece_outputs(outputs - first);
        const std::vector<Vreg> pieces = transpose(from, first, count);
        int row = 0;
        for (const Preg to : {rows, row_2, row_3, row_4}) {
          store_first_lanes(b_, at(to, int64_t{first} * kFloatBytes), pieces[row++], count);
        }
      }
      b_.advance(from, 4 * kFloatBytes);
      b_.add_to(rows, row_4, row_stride);
    });
  }

  // Of `left` outputs, those that are written at once: a vector, or what is left of it if stores can be masked.
  int piece_outputs(int left) const {
    return left >= target_.lanes() ? target_.lanes() : target_.has(Feature::kMasks) ? left : std::min(4, left);
  }

  // Up to W outputs of four rows. Segment s of vector k holds four rows of output 4*s + k; a 4x4 transposition
  // within segments leaves one vector of outputs per row.
  std::vector<Vreg> transpose(Preg from, int first, int count) {
    std::vector<Vreg> v;
    for (int k = 0; k < 4; ++k) {
      Vreg outputs = b_.load_128(tile_at(from, first + k));
      for (int s = 1; 4 * s < count; ++s) outputs = b_.insert_128(outputs, tile_at(from, first + 4 * s + k), s);
      v.push_back(outputs);
    }
    const Vreg lo_01 = b_.unpack_lo_32(v[0], v[1]), lo_23 = b_.unpack_lo_32(v[2], v[3]);
    const Vreg hi_01 = b_.unpack_hi_32(v[0], v[1]), hi_23 = b_.unpack_hi_32(v[2], v[3]);
    return {b_.unpack_lo_64(lo_01, lo_23), b_.unpack_hi_64(lo_01, lo_23), b_.unpack_lo_64(hi_01, hi_23),
            b_.unpack_hi_64(hi_01, hi_23)};
  }
  Mem tile_at(Preg from, int output) const { return at(from, output * tile_column_bytes()); }

  Preg y_{};
};

RoutineKind scan_kind(Epilogue epilogue, RoutineKind scaled, RoutineKind sums) {
  return epilogue == Epilogue::kSum ? sums : scaled;
}

}  // namespace

Program lower_scan_to_columns(const ScanPlan& plan, const Target& target, Epilogue epilogue) {
  const RoutineKind kind = scan_kind(epilogue, RoutineKind::kScanToColumns, RoutineKind::kSumsToColumns);
  return ScanToColumns(kind, plan, target, epilogue).run();
}

Program lower_stream_to_columns(const ScanPlan& plan, const Target& target, Epilogue epilogue) {
  return ScanToColumns(RoutineKind::kStreamToColumns, plan, target, epilogue).run();
}

Program lower_range_to_columns(const ScanPlan& plan, const Target& target, Epilogue epilogue) {
  return ScanToColumns(RoutineKind::kRangeToColumns, plan, target, epilogue).run();
}

Program lower_scan_to_rows(const ScanPlan& plan, const Target& target, Epilogue epilogue) {
  const RoutineKind kind = scan_kind(epilogue, RoutineKind::kScanToRows, RoutineKind::kSumsToRows);
  return ScanToRows(kind, plan, target, epilogue).run();
}

}  // namespace mithral::codegen
