// Codes -> row-major outputs, a row at a time: the rows of a table that its codes select are added up, W bytes an
// instruction. No shuffle, no transposition, and any number of leaves; but short rows leave most of a vector unused.
//
// leaf_tables.h says how the tables lie.
#include <algorithm>

#include "codegen/bytes.h"
#include "codegen/leaf_tables.h"
#include "codegen/lower.h"
#include "codegen/program_builder.h"
#include "codegen/wide_sums.h"

namespace mithral::codegen {
namespace {

constexpr int kFloatBytes = 4;  // and those of an int32

constexpr int kCodesArg = 0;
constexpr int kOutputArg = 1;
constexpr int kStrideArg = 2;
constexpr int kRowsArg = 3;
constexpr int kTileArg = 4;
constexpr int kFullTilesArg = 5;
constexpr int kRestArg = 6;

class AccumulateLowering {
 public:
  AccumulateLowering(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue)
      : model_(model),
        schedule_(schedule),
        target_(target),
        epilogue_(epilogue),
        leaves_(model, schedule.row_tile_outputs, target.lanes()),
        b_(epilogue == Epilogue::kSum ? "accumulate_row_sums" : "accumulate_rows", target,
           {"codes", "y", "row_stride", "n_rows", "tile", "n_full", "n_rest"}) {}

  Program run() {
    const int64_t full = model_.n_outputs() / tile_outputs();
    const int rest = static_cast<int>(model_.n_outputs() % tile_outputs());
    tables_ = b_.address(at(b_.constant("tables by leaf", target_.vector_bytes, tables())));
    b_.add_to(tables_, tables_, b_.mul_imm(b_.arg(kTileArg), leaves_.bytes_of_tile(tile_outputs())));
    if (epilogue_ != Epilogue::kSum) {
      scales_ = b_.address(at(b_.constant("scales, then offsets", target_.vector_bytes, scales_and_offsets())));
      b_.add_to(scales_, scales_, b_.mul_imm(b_.arg(kTileArg), 2 * tile_outputs() * kFloatBytes));
    }
    y_ = b_.arg(kOutputArg);
    if (full > 0) b_.repeat(b_.arg(kFullTilesArg), [&] { lower_tile(tile_outputs()); });
    if (rest > 0) b_.repeat(b_.arg(kRestArg), [&] { lower_tile(rest); });
    return b_.finish();
  }

 private:
  int tile_outputs() const { return schedule_.row_tile_outputs; }

  std::vector<uint8_t> tables() const {
    std::vector<uint8_t> result(leaves_.bytes());
    leaves_.store(result.data());
    return result;
  }

  // Of a tile: the scales of all its outputs, padded to whole vectors, then the offsets.
  std::vector<uint8_t> scales_and_offsets() const {
    std::vector<float> values;
    leaves_.for_tiles([&](int64_t first, int outputs) {
      for (const std::vector<float>& of_outputs : {model_.arrays().scale, model_.arrays().offset}) {
        const auto begin = of_outputs.begin() + first;
        values.insert(values.end(), begin, begin + outputs);
        values.resize(values.size() + leaves_.bytes_of_leaf(outputs) - outputs);
      }
    });
    return bytes_of(values);
  }

  // One tile of all rows.
  void lower_tile(int outputs) {
    const Preg codes = b_.arg(kCodesArg);
    const Preg y = b_.copy(y_);
    b_.repeat(b_.arg(kRowsArg), [&] {
      WideSums sums = add_up(codes, leaves_.n_vectors(outputs));
      for (int v = 0; v < leaves_.n_vectors(outputs); ++v) write_vector(y, outputs, v, sums.lanes(v));
      b_.advance(codes, CodeLayout::kBytesOfLane);
      b_.add_to(y, y, b_.arg(kStrideArg));
    });
    b_.advance(tables_, leaves_.bytes_of_tile(outputs));
    if (epilogue_ != Epilogue::kSum) b_.advance(scales_, 2 * leaves_.bytes_of_leaf(outputs) * kFloatBytes);
    b_.advance(y_, int64_t{outputs} * kFloatBytes);
  }

  // The sums of one row.
  WideSums add_up(Preg codes, int vectors) {
    const int64_t leaf_bytes = int64_t{vectors} * target_.vector_bytes;
    WideSums total(b_, GroupSums::kPairs, static_cast<int>(schedule_.lut_groups.size()), vectors);
    for (const std::vector<int>& group : schedule_.lut_groups) {
      std::vector<Vreg> sums;
      for (const int codebook : group) {
        const Preg leaf = b_.mul_imm(b_.load_u8(at(codes, schedule_.codes.offset(0, codebook))), leaf_bytes);
        const int64_t table = (codebook * model_.n_leaves() - schedule_.codes.code_bias(codebook)) * leaf_bytes;
        for (int v = 0; v < vectors; ++v) {
          const Mem entries = at(tables_, leaf, table + v * target_.vector_bytes);
          if (v == static_cast<int>(sums.size())) {
            sums.push_back(b_.load(entries));
          } else {
            sums[v] = b_.add_u8_m(sums[v], entries);
          }
        }
      }
      total.add(sums);
    }
    return total;
  }

  // The outputs of one vector of bytes, as far as the tile goes.
  void write_vector(Preg y, int outputs, int vector, const std::vector<Vreg>& sums) {
    int first = vector * leaves_.vector_outputs();
    for (size_t i = 0; i < sums.size() && first < outputs; ++i, first += target_.lanes()) {
      store_first_lanes(b_, at(y, first * kFloatBytes), finish(sums[i], first, outputs),
                        std::min(outputs - first, target_.lanes()));
    }
  }

  Vreg finish(Vreg sums, int first, int outputs) {
    if (epilogue_ == Epilogue::kSum) return sums;
    const int64_t scale = first * kFloatBytes, offset = scale + leaves_.bytes_of_leaf(outputs) * kFloatBytes;
    const Vreg scaled = b_.add_f32_m(b_.mul_f32_m(b_.i32_to_f32(sums), at(scales_, scale)), at(scales_, offset));
    return activate(b_, epilogue_, scaled);
  }

  const Model& model_;
  const Schedule& schedule_;
  const Target& target_;
  Epilogue epilogue_;
  LeafTables leaves_;
  ProgramBuilder b_;
  Preg tables_{}, scales_{}, y_{};
};

}  // namespace

Program lower_accumulate(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue) {
  return AccumulateLowering(model, schedule, target, epilogue).run();
}

}  // namespace mithral::codegen
