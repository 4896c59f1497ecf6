#include "codegen/scan/lower_scan.h"

#include <algorithm>

#include "codegen/program/bytes.h"

namespace mithral::codegen {
namespace {

std::vector<float> scales_and_offsets(const Model& model) {
  std::vector<float> pairs;
  for (int64_t m = 0; m < model.n_outputs(); ++m) {
    pairs.push_back(model.arrays().scale[m]);
    pairs.push_back(model.arrays().offset[m]);
  }
  return pairs;
}

// Of a scan that stores its outputs.
std::string scan_name(const char* to, Epilogue epilogue) {
  return (epilogue == Epilogue::kSum ? "sums_to_" : "scan_to_") + std::string(to);
}

}  // namespace

ScanLowering::ScanLowering(const std::string& name, std::vector<std::string> args, const Model& model,
                           const Schedule& schedule, const Target& target, Epilogue epilogue)
    : model_(model),
      schedule_(schedule),
      target_(target),
      epilogue_(epilogue),
      biased_sums_(target.features.contains(kBiasedSumsNeed) && biased_products_are_exact(model)),
      b_(name, target, std::move(args)),
      sums_(sum_lookups(b_, model, schedule, target)) {}

void ScanLowering::point_to_first_output() {
  tables_ = b_.address(at(b_.constant("tables", 64, sums_->tables())));
  scales_ = b_.address(at(b_.constant("scales and offsets", 64, bytes_of(scales_and_offsets(model_)))));
}

void ScanLowering::advance_outputs(int64_t count) {
  b_.advance(tables_, count * sums_->bytes_of_output());
  b_.advance(scales_, count * 2 * kFloatBytes);
}

void ScanLowering::skip_outputs(Preg count) {
  b_.add_to(tables_, tables_, b_.mul_imm(count, sums_->bytes_of_output()));
  b_.add_to(scales_, scales_, b_.mul_imm(count, 2 * kFloatBytes));
}

void ScanLowering::lower_tile(Preg codes, int blocks, const StoreLanes& store) {
  sums_->add(codes, tables_, blocks);
  const Finish finish = epilogue();
  for (int block = 0; block < blocks; ++block) {
    int64_t row = block * block_rows();
    for (const Vreg sums : finish.sums(block)) {
      store(row, finish.output(sums));
      row += target_.lanes();
    }
  }
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

void ScanLowering::fill_tile(Preg codes, int blocks, int outputs) {
  const Preg column = b_.arg(kTileArg);
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
  enum class Outputs {
    kAll,
    kAllStreamed,  // past the caches
    kRange,        // those that arguments name
  };

  ScanToColumns(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue, Outputs outputs)
      : ScanLowering(name(epilogue, outputs), args(outputs), model, schedule, target, epilogue), outputs_(outputs) {}

  Program run() {
    const Preg column = b_.arg(kOutputArg);
    point_to_first_output();
    if (outputs_ == Outputs::kRange) skip_outputs(b_.arg(kFirstArg));
    b_.repeat(outputs_ == Outputs::kRange ? b_.arg(kCountArg) : b_.set(model_.n_outputs()), [&] {
      const Preg codes = b_.arg(kCodesArg);
      const Preg y = b_.copy(column);
      for_tiles([&](int blocks) {
        lower_tile(codes, blocks, [&](int64_t row, Vreg values) { store(at(y, row * kFloatBytes), values); });
        b_.advance(codes, blocks * block_bytes());
        b_.advance(y, blocks * block_rows() * kFloatBytes);
      });
      advance_outputs(1);
      b_.add_to(column, column, b_.arg(kStrideArg));
    });
    return b_.finish();
  }

 private:
  static constexpr int kFirstArg = 4, kCountArg = 5;

  static std::string name(Epilogue epilogue, Outputs outputs) {
    switch (outputs) {
      case Outputs::kAll: return scan_name("columns", epilogue);
      case Outputs::kAllStreamed: return "stream_to_columns";
      case Outputs::kRange: return "range_to_columns";
    }
    throw InternalError("unknown outputs");
  }

  static std::vector<std::string> args(Outputs outputs) {
    if (outputs != Outputs::kRange) return {"codes", "y", "col_stride", "n_blocks"};
    return {"codes", "y", "col_stride", "n_blocks", "first", "count"};
  }

  void store(Mem y, Vreg values) { outputs_ == Outputs::kAllStreamed ? b_.stream(y, values) : b_.store(y, values); }

  Outputs outputs_;
};

// Row-major outputs: `tile_outputs` outputs at a time go to a column-major tile in L1, then out of it as pieces of
// rows.
class ScanToRows : public ScanLowering {
 public:
  ScanToRows(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue)
      : ScanLowering(scan_name("rows", epilogue), {"codes", "y", "row_stride", "n_blocks", "tile"}, model, schedule,
                     target, epilogue) {}

  Program run() {
    y_ = b_.arg(kOutputArg);
    point_to_first_output();
    for_outputs(schedule_.tile_outputs, [&](int outputs) { lower_outputs(outputs); });
    return b_.finish();
  }

 private:
  void lower_outputs(int outputs) {
    const Preg codes = b_.arg(kCodesArg);
    const Preg rows = b_.copy(y_);
    for_tiles([&](int blocks) {
      fill_tile(codes, blocks, outputs);
      write_rows(rows, blocks, outputs);
      b_.advance(codes, blocks * block_bytes());
    });
    advance_outputs(outputs);
    b_.advance(y_, int64_t{outputs} * kFloatBytes);
  }

  // Four rows at a time; `rows` ends after the last one.
  void write_rows(Preg rows, int blocks, int outputs) {
    const Preg from = b_.arg(kTileArg);
    const Preg row_stride = b_.arg(kStrideArg);
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

Program lower_scan_to_columns(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue) {
  return ScanToColumns(model, schedule, target, epilogue, ScanToColumns::Outputs::kAll).run();
}

Program lower_stream_to_columns(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue) {
  return ScanToColumns(model, schedule, target, epilogue, ScanToColumns::Outputs::kAllStreamed).run();
}

Program lower_range_to_columns(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue) {
  return ScanToColumns(model, schedule, target, epilogue, ScanToColumns::Outputs::kRange).run();
}

Program lower_scan_to_rows(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue) {
  return ScanToRows(model, schedule, target, epilogue).run();
}

}  // namespace mithral::codegen
