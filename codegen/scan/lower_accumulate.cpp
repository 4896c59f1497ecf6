// Codes -> row-major outputs, a row at a time: the rows of a table that its codes select are added up, 4W bytes an
// instruction. No shuffle, no transposition, and any number of leaves; but short rows leave most of a vector unused.
//
// row_tables.h says how the tables lie.
#include <algorithm>

#include "codegen/lower.h"
#include "codegen/program/bytes.h"
#include "codegen/program/program_builder.h"
#include "codegen/scan/line_stream.h"
#include "codegen/scan/row_tables.h"
#include "codegen/scan/wide_sums.h"

namespace mithral::codegen {
namespace {

constexpr int kFloatBytes = 4;  // and those of an int32

class AccumulateLowering {
 protected:
  AccumulateLowering(const std::string& name, std::vector<std::string> args, const Model& model,
                     const Schedule& schedule, const Target& target, Epilogue epilogue)
      : model_(model),
        schedule_(schedule),
        target_(target),
        epilogue_(epilogue),
        leaves_(model, schedule.row_tile_outputs, target.lanes()),
        b_(name, target, std::move(args)) {}

  static constexpr int kCodesArg = 0;
  static constexpr int kOutputArg = 1;
  static constexpr int kRowsArg = 3;
  static constexpr int kTileArg = 4;
  static constexpr int kFullTilesArg = 5;
  static constexpr int kRestArg = 6;

  void point_to_tile(Preg tile) {
    tables_ = b_.address(at(b_.constant("tables by leaf", target_.vector_bytes, tables())));
    b_.add_to(tables_, tables_, b_.mul_imm(tile, leaves_.bytes_of_tile(tile_outputs())));
    if (epilogue_ == Epilogue::kSum) return;
    scales_ = b_.address(at(b_.constant("scales, then offsets", target_.vector_bytes, scales_and_offsets())));
    b_.add_to(scales_, scales_, b_.mul_imm(tile, 2 * tile_outputs() * kFloatBytes));
  }

  // Runs `body(outputs)` over the tiles that arguments name.
  template <typename Body>
  void for_tiles(Body&& body) {
    const int rest = static_cast<int>(model_.n_outputs() % tile_outputs());
    if (model_.n_outputs() >= tile_outputs()) b_.repeat(b_.arg(kFullTilesArg), [&] { body(tile_outputs()); });
    if (rest > 0) b_.repeat(b_.arg(kRestArg), [&] { body(rest); });
  }

  // A tile of all rows, from `y` on: `write_row(codes, row)` writes one and advances `row`. Then y is at the next tile.
  template <typename WriteRow>
  void lower_tile(Preg y, int outputs, WriteRow&& write_row) {
    const Preg codes = b_.arg(kCodesArg);
    const Preg row = b_.copy(y);
    b_.repeat(b_.arg(kRowsArg), [&] {
      write_row(codes, row);
      b_.advance(codes, CodeLayout::kBytesOfLane);
    });
    b_.advance(tables_, leaves_.bytes_of_tile(outputs));
    if (epilogue_ != Epilogue::kSum) b_.advance(scales_, 2 * leaves_.bytes_of_leaf(outputs) * kFloatBytes);
    b_.advance(y, int64_t{outputs} * kFloatBytes);
  }

  void write_outputs(Preg codes, Preg y, int outputs) {
    WideSums sums = add_up(codes, leaves_.n_vectors(outputs));
    for (int v = 0; v < leaves_.n_vectors(outputs); ++v) write_vector(y, outputs, v, sums.lanes(v));
  }

  int tile_outputs() const { return schedule_.row_tile_outputs; }

  const Model& model_;
  const Schedule& schedule_;
  const Target& target_;
  Epilogue epilogue_;
  RowTables leaves_;
  ProgramBuilder b_;

 private:
  std::vector<uint8_t> tables() const {
    std::vector<uint8_t> result(leaves_.bytes());
    leaves_.store(result.data());
    return result;
  }

  // Of a tile: the scales of all its outputs, padded to whole vectors, then the offsets.
  std::vector<uint8_t> scales_and_offsets() const {
    std::vector<float> values;
    leaves_.for_tiles([&](int64_t first, int outputs) {
      for (const std::vector<float>* of_outputs : {&model_.arrays().scale, &model_.arrays().offset}) {
        const auto begin = of_outputs->begin() + first;
        values.insert(values.end(), begin, begin + outputs);
        values.resize(values.size() + leaves_.bytes_of_leaf(outputs) - outputs);
      }
    });
    return bytes_of(values);
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

  Preg tables_{}, scales_{};
};

// Rows wherever they are.
class AccumulateRows : public AccumulateLowering {
 public:
  AccumulateRows(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue)
      : AccumulateLowering(epilogue == Epilogue::kSum ? "accumulate_row_sums" : "accumulate_rows",
                           {"codes", "y", "row_stride", "n_rows", "tile", "n_full", "n_rest"}, model, schedule, target,
                           epilogue) {}

  Program run() {
    point_to_tile(b_.arg(kTileArg));
    const Preg y = b_.arg(kOutputArg);
    for_tiles([&](int outputs) {
      lower_tile(y, outputs, [&](Preg codes, Preg row) {
        write_outputs(codes, row, outputs);
        b_.add_to(row, row, b_.arg(kStrideArg));
      });
    });
    return b_.finish();
  }

 private:
  static constexpr int kStrideArg = 2;
};

// Contiguous rows past the caches. A tile of a row is a run of its own, which begins in the line that the row's last
// tile ended in. But a row's first tile begins in a line that the row before ends in, later: that one is kept. Rows of
// a single tile follow each other, so there a single line is passed on from row to row.
class StreamRows : public AccumulateLowering {
 public:
  StreamRows(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue)
      : AccumulateLowering("stream_to_rows",
                           {"codes", "y", "buffer", "n_rows", "tile", "n_full", "n_rest", "n_first", "lines"}, model,
                           schedule, target, epilogue) {}

  Program run() {
    point_to_tile(b_.arg(kTileArg));
    const Preg y = b_.arg(kOutputArg);
    if (!one_tile()) b_.repeat(b_.arg(kFirstArg), [&] { stream_tile(y, tile_outputs(), true); });
    for_tiles([&](int outputs) { stream_tile(y, outputs, false); });
    return b_.finish();
  }

 private:
  static constexpr int kBufferArg = 2;
  static constexpr int kFirstArg = 7;
  static constexpr int kLinesArg = 8;

  bool one_tile() const { return schedule_.row_fits_tile(model_.n_outputs()); }

  void stream_tile(Preg y, int outputs, bool first) {
    const Preg line = b_.arg(kLinesArg);
    lower_tile(y, outputs, [&](Preg codes, Preg row) {
      LineStream lines(b_, b_.arg(kBufferArg), row, line);
      write_outputs(codes, lines.values(), outputs);
      const int64_t bytes = int64_t{outputs} * kFloatBytes;
      first ? lines.end_keeping_first(bytes, line, at(line, LineStream::kLineBytes)) : lines.end(bytes, line);
      b_.advance(row, model_.n_outputs() * kFloatBytes);
      if (!one_tile()) b_.advance(line, 2 * LineStream::kLineBytes);
    });
  }
};

}  // namespace

Program lower_accumulate(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue) {
  return AccumulateRows(model, schedule, target, epilogue).run();
}

Program lower_stream_to_rows(const Model& model, const Schedule& schedule, const Target& target, Epilogue epilogue) {
  return StreamRows(model, schedule, target, epilogue).run();
}

}  // namespace mithral::codegen
