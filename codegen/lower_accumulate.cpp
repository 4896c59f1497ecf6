// Codes -> row-major outputs, a row at a time: the rows of a table that its codes select are added up, W bytes an
// instruction. No shuffle, no transposition, and any number of leaves; but short rows leave most of a vector unused.
//
//     tables:  | tile 0, of the first outputs                                  | tile 1 ...
//              | codebook 0                   | codebook 1                | ...|
//              | leaf 0 | leaf 1 | ...        | leaf 0 | ...
//
// An entry of a leaf is a byte an output. Within a vector the outputs are in the order that makes shifting and masking
// its lanes yield W consecutive ones, as kFourRows does with rows (layout.h): byte 4 * i + j is output j * W + i.
#include <algorithm>
#include <functional>

#include "codegen/bytes.h"
#include "codegen/error.h"
#include "codegen/lower.h"
#include "codegen/program_builder.h"
#include "codegen/wide_sums.h"

namespace mithral::codegen {
namespace {

constexpr int kFloatBytes = 4;  // and those of an int32
constexpr int kSegmentBytes = 16;

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
        b_(epilogue == Epilogue::kScaled ? "accumulate_rows" : "accumulate_row_sums", target,
           {"codes", "y", "row_stride", "n_rows", "tile", "n_full", "n_rest"}) {}

  Program run() {
    const int64_t full = model_.n_outputs() / tile_outputs();
    const int rest = static_cast<int>(model_.n_outputs() % tile_outputs());
    tables_ = b_.address(at(b_.constant("tables by leaf", target_.vector_bytes, tables())));
    b_.add_to(tables_, tables_, b_.mul_imm(b_.arg(kTileArg), bytes_of_tile(tile_outputs())));
    if (epilogue_ == Epilogue::kScaled) {
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
  int vector_outputs() const { return target_.vector_bytes; }
  int n_vectors(int outputs) const { return (outputs + vector_outputs() - 1) / vector_outputs(); }
  int64_t bytes_of_leaf(int outputs) const { return int64_t{n_vectors(outputs)} * target_.vector_bytes; }
  int64_t bytes_of_tile(int outputs) const { return model_.n_codebooks() * model_.n_leaves() * bytes_of_leaf(outputs); }

  // Calls `visit(first_output, outputs)` for every tile.
  template <typename Visit>
  void for_tiles(Visit&& visit) const {
    for (int64_t first = 0; first < model_.n_outputs(); first += tile_outputs()) {
      visit(first, static_cast<int>(std::min<int64_t>(tile_outputs(), model_.n_outputs() - first)));
    }
  }

  std::vector<uint8_t> tables() const {
    std::vector<uint8_t> result;
    for_tiles([&](int64_t first, int outputs) {
      const size_t begin = result.size();
      result.resize(begin + bytes_of_tile(outputs));
      uint8_t* leaf_entries = &result[begin];
      for (int64_t c = 0; c < model_.n_codebooks(); ++c) {
        for (int64_t leaf = 0; leaf < model_.n_leaves(); ++leaf, leaf_entries += bytes_of_leaf(outputs)) {
          for (int i = 0; i < outputs; ++i) leaf_entries[place(i)] = model_.lut(c, leaf, first + i);
        }
      }
    });
    return result;
  }

  // The byte of the i-th output of a tile.
  int place(int i) const {
    const int within = i % vector_outputs();
    return i - within + 4 * (within % target_.lanes()) + within / target_.lanes();
  }

  // Of a tile: the scales of all its outputs, padded to whole vectors, then the offsets.
  std::vector<uint8_t> scales_and_offsets() const {
    std::vector<float> values;
    for_tiles([&](int64_t first, int outputs) {
      for (const std::vector<float>& of_outputs : {model_.arrays().scale, model_.arrays().offset}) {
        const auto begin = of_outputs.begin() + first;
        values.insert(values.end(), begin, begin + outputs);
        values.resize(values.size() + bytes_of_leaf(outputs) - outputs);
      }
    });
    return bytes_of(values);
  }

  // One tile of all rows.
  void lower_tile(int outputs) {
    const Preg codes = b_.arg(kCodesArg);
    const Preg y = b_.copy(y_);
    b_.repeat(b_.arg(kRowsArg), [&] {
      const WideSums sums = add_up(codes, n_vectors(outputs));
      for (int v = 0; v < n_vectors(outputs); ++v) write_vector(y, outputs, v, sums.lanes(v));
      b_.advance(codes, CodeLayout::kBytesOfLane);
      b_.add_to(y, y, b_.arg(kStrideArg));
    });
    b_.advance(tables_, bytes_of_tile(outputs));
    if (epilogue_ == Epilogue::kScaled) b_.advance(scales_, 2 * bytes_of_leaf(outputs) * kFloatBytes);
    b_.advance(y_, int64_t{outputs} * kFloatBytes);
  }

  // The sums of one row.
  WideSums add_up(Preg codes, int vectors) {
    const int64_t leaf_bytes = int64_t{vectors} * target_.vector_bytes;
    WideSums total(b_);
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
      total.add(sums, schedule_.lut_groups.size() == 1);
    }
    return total;
  }

  // The outputs of one vector of bytes, as far as the tile goes.
  void write_vector(Preg y, int outputs, int vector, const std::vector<Vreg>& sums) {
    int first = vector * vector_outputs();
    for (size_t i = 0; i < sums.size() && first < outputs; ++i, first += target_.lanes()) {
      store(at(y, first * kFloatBytes), finish(sums[i], first, outputs), std::min(outputs - first, target_.lanes()));
    }
  }

  Vreg finish(Vreg sums, int first, int outputs) {
    if (epilogue_ == Epilogue::kSum) return sums;
    const int64_t scale = first * kFloatBytes, offset = scale + bytes_of_leaf(outputs) * kFloatBytes;
    return b_.add_f32_m(b_.mul_f32_m(b_.i32_to_f32(sums), at(scales_, scale)), at(scales_, offset));
  }

  void store(Mem to, Vreg values, int count) {
    if (count == target_.lanes()) return b_.store(to, values);
    if (target_.has(Feature::kMasks)) return b_.store_first(to, values, count);
    for (int segment = 0; 4 * segment < count; ++segment, to.disp += kSegmentBytes) {
      const Vreg four = segment == 0 ? values : b_.segment(values, segment);
      b_.store_lanes(to, four, std::min(count - 4 * segment, 4));
    }
  }

  const Model& model_;
  const Schedule& schedule_;
  const Target& target_;
  Epilogue epilogue_;
  ProgramBuilder b_;
  Preg tables_{}, scales_{}, y_{};
};

}  // namespace

Program lower_accumulate(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue) {
  return AccumulateLowering(model, schedule, target, epilogue).run();
}

}  // namespace mithral::codegen
