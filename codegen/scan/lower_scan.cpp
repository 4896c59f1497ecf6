#include "codegen/scan/lower_scan.h"

#include <algorithm>

#include "codegen/program/sizes.h"
#include "codegen/scan/first_lanes.h"
#include "codegen/scan/scan_lowering.h"

namespace mithral::codegen {
namespace {

// Column-major outputs: output by output, straight from registers.
class ScanToColumns : public ScanLowering {
 public:
  ScanToColumns(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue)
      : ScanLowering(kind, plan, target, epilogue), kind_(kind) {}

  Program run() {
    const Preg column = b_.arg(Arg::y);
    point_to_first_output<Arg>();
    const auto lower = [&](int outputs) { lower_columns(column, outputs); };
    if (kind_ == RoutineKind::kRangeToColumns) {
      b_.repeat_by(
          plan_.scan.linear_outputs, [&] { return b_.arg(Arg::n_outputs); }, lower);
    } else {
      for_linear_outputs(n_outputs(), lower);
    }
    return b_.finish();
  }

 private:
  using Arg = ScanArguments::Index;

  // Advances `column` past them.
  void lower_columns(Preg column, int outputs) {
    const Preg codes = b_.arg(Arg::codes);
    std::vector<Preg> y;
    for (int output = 0; output < outputs; ++output) {
      y.push_back(output == 0 ? b_.copy(column) : b_.add(y.back(), b_.arg(Arg::stride)));
    }
    for_table_blocks(Arg::n_blocks, [&](int blocks) {
      lower_outputs(codes, blocks, outputs,
                    [&](int output, int64_t row, Vreg values) { store(at(y[output], row * kFloatBytes), values); });
      b_.advance(codes, blocks * block_bytes());
      for (const Preg of_output : y) b_.advance(of_output, blocks * block_rows() * kFloatBytes);
    });
    advance_outputs(outputs);
    for (int output = 0; output < outputs; ++output) b_.add_to(column, column, b_.arg(Arg::stride));
  }

  void store(Mem y, Vreg values) {
    if (kind_ == RoutineKind::kStreamToColumns) {
      b_.stream(y, values);
    } else {
      b_.store(y, values);
    }
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
    point_to_first_output<Arg>();
    for_outputs(plan_.scan.tile_outputs, [&](int outputs) { lower_tile(outputs); });
    return b_.finish();
  }

 private:
  using Arg = ScanArguments::Index;

  void lower_tile(int outputs) {
    const Preg codes = b_.arg(Arg::codes);
    const Preg rows = b_.copy(y_);
    for_table_blocks(Arg::n_blocks, [&](int blocks) {
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

}  // namespace

Program lower_scan_to_columns(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue) {
  return ScanToColumns(kind, plan, target, epilogue).run();
}

Program lower_scan_to_rows(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue) {
  return ScanToRows(kind, plan, target, epilogue).run();
}

}  // namespace mithral::codegen
