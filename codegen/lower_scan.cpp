// Codes -> outputs: table look-ups added in bytes as far as the groups allow, then in 16 bits, then scaled to float32.
#include <algorithm>
#include <bit>
#include <functional>

#include "codegen/bytes.h"
#include "codegen/lower.h"
#include "codegen/lut_segments.h"
#include "codegen/program_builder.h"

namespace mithral::codegen {
namespace {

constexpr int kFloatBytes = 4;
constexpr int kBiasBytes = 4;

// [output][group][segment][codebook of the group][16 entries]: what a group's look-ups of one segment need is together.
std::vector<uint8_t> segmented_tables(const Model& model, const LutGroups& groups) {
  const int n_segments = lut_segments(model.n_leaves());
  std::vector<uint8_t> table(n_segments * kSegmentEntries);
  std::vector<uint8_t> result(model.n_outputs() * model.n_codebooks() * table.size());
  uint8_t* to_group = result.data();
  for (int64_t m = 0; m < model.n_outputs(); ++m) {
    for (const std::vector<int>& group : groups) {
      for (size_t i = 0; i < group.size(); ++i) {
        for (int64_t leaf = 0; leaf < model.n_leaves(); ++leaf) table[leaf] = model.lut(group[i], leaf, m);
        store_differences(table.data(), n_segments);
        for (int s = 0; s < n_segments; ++s) {
          std::copy_n(&table[s * kSegmentEntries], kSegmentEntries,
                      to_group + (s * group.size() + i) * kSegmentEntries);
        }
      }
      to_group += group.size() * table.size();
    }
  }
  return result;
}

// Of all segments, each repeated in the four bytes of a lane.
std::vector<uint8_t> index_biases(int n_segments) {
  std::vector<uint8_t> result;
  for (int s = 0; s < n_segments; ++s) result.insert(result.end(), kBiasBytes, index_bias(s));
  return result;
}

std::vector<float> scales_and_offsets(const Model& model) {
  std::vector<float> pairs;
  for (int64_t m = 0; m < model.n_outputs(); ++m) {
    pairs.push_back(model.arrays().scale[m]);
    pairs.push_back(model.arrays().offset[m]);
  }
  return pairs;
}

// Arguments of both scans. They are read again where they are needed: holding them all would take too many registers.
constexpr int kCodesArg = 0;
constexpr int kOutputArg = 1;
constexpr int kStrideArg = 2;
constexpr int kBlocksArg = 3;
constexpr int kTileArg = 4;

// What both scans share: one output of a column of blocks.
class ScanLowering {
 public:
  ScanLowering(const char* name, std::vector<std::string> args, const Model& model, const Schedule& schedule,
               const Target& target)
      : model_(model),
        schedule_(schedule),
        target_(target),
        b_(name, target, std::move(args)),
        n_segments_(lut_segments(model.n_leaves())) {}

 protected:
  using StoreLanes = std::function<void(int64_t first_row, Vreg values)>;

  void point_to_first_output() {
    tables_ = b_.address(at(b_.constant("tables", 64, segmented_tables(model_, schedule_.lut_groups))));
    scales_ = b_.address(at(b_.constant("scales and offsets", 64, bytes_of(scales_and_offsets(model_)))));
  }
  void advance_outputs(int64_t count) {
    b_.advance(tables_, Model::table_bytes(model_.n_codebooks(), count, model_.depth()));
    b_.advance(scales_, count * 2 * kFloatBytes);
  }
  int64_t block_bytes() const { return model_.n_codebooks() * target_.vector_bytes; }

  // Runs `body(blocks)` over n_blocks blocks: as many tall tiles as there are, then single blocks.
  template <typename Body>
  void for_tiles(Body&& body) {
    const Preg n_blocks = b_.arg(kBlocksArg);
    if (schedule_.tall_tile == 1) return b_.repeat(n_blocks, [&] { body(1); });
    const int shift = std::countr_zero(static_cast<unsigned>(schedule_.tall_tile));
    b_.repeat(b_.shr_imm(n_blocks, shift), [&] { body(schedule_.tall_tile); });
    b_.repeat(b_.and_imm(b_.arg(kBlocksArg), schedule_.tall_tile - 1), [&] { body(1); });
  }

  // Output `tables_` of `blocks` blocks at `codes`: W rows at a time go to `store`.
  void lower_tile(Preg codes, int blocks, const StoreLanes& store) {
    if (schedule_.lut_groups.size() == 1) {
      const std::vector<Vreg> sums = add_group(codes, blocks, schedule_.lut_groups[0], 0);
      finish_tile(blocks, store, [&](int block) { return lanes_of_bytes(sums[block]); });
      return;
    }
    std::vector<Vreg> totals, odds;  // per block: sums of 16-bit pairs of bytes, and of their high bytes
    int64_t tables = 0;
    for (const std::vector<int>& group : schedule_.lut_groups) {
      const std::vector<Vreg> sums = add_group(codes, blocks, group, tables);
      tables += n_segments_ * segment_bytes(group);
      widen(sums, totals, odds);
    }
    finish_tile(blocks, store, [&](int block) { return lanes_of_words(totals[block], odds[block]); });
  }

 private:
  // Byte sums of a group, whose tables start at byte `tables` of the output's. Look-ups of the segments of one table
  // are added like those of the codebooks: the order is free modulo 2^8, and the sum is known to fit.
  std::vector<Vreg> add_group(Preg codes, int blocks, const std::vector<int>& group, int64_t tables) {
    const int plain = plain_segment(n_segments_);
    std::vector<Vreg> sums = add_plain_segment(codes, blocks, group, tables + plain * segment_bytes(group));
    add_segments(codes, group, tables, 0, plain, &ProgramBuilder::add_sat_u8_m, sums);
    add_segments(codes, group, tables, plain + 1, n_segments_, &ProgramBuilder::add_u8_m, sums);
    return sums;
  }

  // A table is loaded once for all blocks.
  std::vector<Vreg> add_plain_segment(Preg codes, int blocks, const std::vector<int>& group, int64_t tables) {
    std::vector<Vreg> sums;
    for (const int codebook : group) {
      const Vreg table = b_.broadcast_128(at(tables_, tables));
      tables += kSegmentEntries;
      for (int block = 0; block < blocks; ++block) {
        const Vreg entries = b_.lookup_16(table, code(codes, block, codebook));
        if (static_cast<int>(sums.size()) < blocks) {
          sums.push_back(entries);
        } else {
          b_.add_u8_to(sums[block], sums[block], entries);
        }
      }
    }
    return sums;
  }

  // Segments `begin` to `end` of a group, in a loop: unrolled, many codebooks of deep trees would be megabytes of code.
  void add_segments(Preg codes, const std::vector<int>& group, int64_t tables, int begin, int end,
                    Vreg (ProgramBuilder::*add)(Vreg, Mem), std::vector<Vreg>& sums) {
    if (begin == end) return;
    const Preg segment = b_.add_imm(tables_, tables + begin * segment_bytes(group));
    const Preg bias_at =
        b_.address(at(b_.constant("index biases", kBiasBytes, index_biases(n_segments_)), begin * kBiasBytes));
    b_.repeat(b_.set(end - begin), [&] {
      const Vreg bias = b_.broadcast_32(at(bias_at));
      for (size_t i = 0; i < group.size(); ++i) {
        const Vreg table = b_.broadcast_128(at(segment, static_cast<int64_t>(i) * kSegmentEntries));
        for (size_t block = 0; block < sums.size(); ++block) {
          const Vreg index = (b_.*add)(bias, code(codes, static_cast<int>(block), group[i]));
          b_.add_u8_to(sums[block], sums[block], b_.lookup_16_by(table, index));
        }
      }
      b_.advance(segment, segment_bytes(group));
      b_.advance(bias_at, kBiasBytes);
    });
  }

  static int64_t segment_bytes(const std::vector<int>& group) {
    return static_cast<int64_t>(group.size()) * kSegmentEntries;
  }
  Mem code(Preg codes, int block, int codebook) const {
    return at(codes, block * block_bytes() + int64_t{codebook} * target_.vector_bytes);
  }

  // 16-bit sums of even and odd bytes, in three operations a group: adding whole pairs (odd * 256 + even) modulo 2^16
  // and the odd bytes alone; even sums are recovered at the end as pairs - odd * 256.
  void widen(const std::vector<Vreg>& sums, std::vector<Vreg>& totals, std::vector<Vreg>& odds) {
    const bool first = totals.empty();
    for (size_t block = 0; block < sums.size(); ++block) {
      const Vreg odd = b_.shr_u16(sums[block], 8);
      if (first) {
        totals.push_back(sums[block]);
        odds.push_back(odd);
      } else {
        b_.add_u16_to(totals[block], totals[block], sums[block]);
        b_.add_u16_to(odds[block], odds[block], odd);
      }
    }
  }

  // The four bytes of every lane, as 32-bit integers: rows 0..W-1, W..2W-1, ... of the block (layout.h).
  std::vector<Vreg> lanes_of_bytes(Vreg bytes) {
    const Vreg mask = lane_mask(0xff);
    return {b_.and_bits(bytes, mask), b_.and_bits(b_.shr_u32(bytes, 8), mask), b_.and_bits(b_.shr_u32(bytes, 16), mask),
            b_.shr_u32(bytes, 24)};
  }
  std::vector<Vreg> lanes_of_words(Vreg total, Vreg odd) {
    const Vreg mask = lane_mask(0xffff);
    const Vreg even = b_.sub_u16(total, b_.shl_u16(odd, 8));
    return {b_.and_bits(even, mask), b_.and_bits(odd, mask), b_.shr_u32(even, 16), b_.shr_u32(odd, 16)};
  }
  Vreg lane_mask(uint32_t mask) {
    return b_.broadcast_32(at(b_.constant("mask", 4, bytes_of(std::vector<uint32_t>{mask}))));
  }

  template <typename LanesOfBlock>
  void finish_tile(int blocks, const StoreLanes& store, LanesOfBlock&& lanes_of_block) {
    const Vreg scale = b_.broadcast_32(at(scales_));
    const Vreg offset = b_.broadcast_32(at(scales_, kFloatBytes));
    for (int block = 0; block < blocks; ++block) {
      int64_t row = int64_t{block} * target_.block_rows();
      for (const Vreg lanes : lanes_of_block(block)) {
        store(row, b_.add_f32(b_.mul_f32(b_.i32_to_f32(lanes), scale), offset));
        row += target_.lanes();
      }
    }
  }

 protected:
  const Model& model_;
  const Schedule& schedule_;
  const Target& target_;
  ProgramBuilder b_;
  int n_segments_;
  Preg tables_{}, scales_{};
};

// Column-major outputs: output by output, straight from registers.
class ScanToColumns : public ScanLowering {
 public:
  ScanToColumns(const Model& model, const Schedule& schedule, const Target& target)
      : ScanLowering("scan_to_columns", {"codes", "y", "col_stride", "n_blocks"}, model, schedule, target) {}

  Program run() {
    const Preg column = b_.arg(kOutputArg);
    point_to_first_output();
    b_.repeat(b_.set(model_.n_outputs()), [&] {
      const Preg codes = b_.arg(kCodesArg);
      const Preg y = b_.copy(column);
      for_tiles([&](int blocks) {
        lower_tile(codes, blocks, [&](int64_t row, Vreg values) { b_.store(at(y, row * kFloatBytes), values); });
        b_.advance(codes, blocks * block_bytes());
        b_.advance(y, int64_t{blocks} * target_.block_rows() * kFloatBytes);
      });
      advance_outputs(1);
      b_.add_to(column, column, b_.arg(kStrideArg));
    });
    return b_.finish();
  }
};

// Row-major outputs: `tile_outputs` outputs at a time go to a column-major tile in L1, then out of it as pieces of
// rows.
//
//     tile:  output 0:  row 0 | row 1 | ... | row tall_tile * block_rows - 1
//            output 1:  ...
class ScanToRows : public ScanLowering {
 public:
  ScanToRows(const Model& model, const Schedule& schedule, const Target& target)
      : ScanLowering("scan_to_rows", {"codes", "y", "row_stride", "n_blocks", "tile"}, model, schedule, target),
        tile_column_bytes_(int64_t{schedule.tall_tile} * target.block_rows() * kFloatBytes) {}

  Program run() {
    y_ = b_.arg(kOutputArg);
    point_to_first_output();
    const int64_t full_tiles = model_.n_outputs() / schedule_.tile_outputs;
    const int remainder = static_cast<int>(model_.n_outputs() % schedule_.tile_outputs);
    if (full_tiles > 0) {
      b_.repeat(b_.set(full_tiles), [&] { lower_outputs(schedule_.tile_outputs); });
    }
    if (remainder > 0) lower_outputs(remainder);
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

  void fill_tile(Preg codes, int blocks, int outputs) {
    const Preg column = b_.arg(kTileArg);
    b_.repeat(b_.set(outputs), [&] {
      lower_tile(codes, blocks, [&](int64_t row, Vreg values) { b_.store(at(column, row * kFloatBytes), values); });
      advance_outputs(1);
      b_.advance(column, tile_column_bytes_);
    });
    advance_outputs(-outputs);
  }

  // Four rows at a time; `rows` ends after the last one.
  void write_rows(Preg rows, int blocks, int outputs) {
    const Preg from = b_.arg(kTileArg);
    const Preg row_stride = b_.arg(kStrideArg);
    b_.repeat(b_.set(int64_t{blocks} * target_.block_rows() / 4), [&] {
      const Preg row_2 = b_.add(rows, row_stride);
      const Preg row_3 = b_.add(row_2, row_stride);
      const Preg row_4 = b_.add(row_3, row_stride);
      for (int first = 0, count = 0; first < outputs; first += count) {
        count = outputs - first >= target_.lanes() ? target_.lanes() : std::min(4, outputs - first);
        const std::vector<Vreg> pieces = transpose(from, first, count);
        int row = 0;
        for (const Preg to : {rows, row_2, row_3, row_4}) write_piece(to, first, count, pieces[row++]);
      }
      b_.advance(from, 4 * kFloatBytes);
      b_.add_to(rows, row_4, row_stride);
    });
  }

  // W outputs of four rows, or up to four. Segment s of vector k holds four rows of output 4*s + k; a 4x4 transposition
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
  Mem tile_at(Preg from, int output) const { return at(from, output * tile_column_bytes_); }

  void write_piece(Preg row, int first, int count, Vreg values) {
    const Mem to = at(row, int64_t{first} * kFloatBytes);
    if (count == target_.lanes()) {
      b_.store(to, values);
    } else {
      b_.store_lanes(to, values, count);
    }
  }

  int64_t tile_column_bytes_;
  Preg y_{};
};

}  // namespace

Program lower_scan_to_columns(const Model& model, const Schedule& schedule, const Target& target) {
  return ScanToColumns(model, schedule, target).run();
}

Program lower_scan_to_rows(const Model& model, const Schedule& schedule, const Target& target) {
  return ScanToRows(model, schedule, target).run();
}

}  // namespace mithral::codegen
