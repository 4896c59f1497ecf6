#include "codegen/scan/sum_lookups.h"

#include <algorithm>
#include <optional>

#include "codegen/scan/lut_segments.h"
#include "codegen/scan/wide_sums.h"

namespace mithral::codegen {
namespace {

constexpr int kBiasBytes = 4;

// Of all segments, each repeated in the four bytes of a lane.
std::vector<uint8_t> index_biases(int n_segments) {
  std::vector<uint8_t> result;
  for (int s = 0; s < n_segments; ++s) result.insert(result.end(), kBiasBytes, index_bias(s));
  return result;
}

// kFourRows, the part that does not depend on how a table is looked up in.
class RowSums : public LookupSums {
 public:
  RowSums(ProgramBuilder& b, const Model& model, const Schedule& schedule)
      : b_(b), model_(model), groups_(schedule.lut_groups), layout_(schedule.codes), group_sums_(schedule.group_sums) {}

  int64_t bytes_of_output() const override { return model_.n_codebooks() * table_bytes(); }

  void add(Preg codes, Preg tables, int blocks) override {
    sums_.emplace(b_, group_sums_, static_cast<int>(groups_.size()), blocks);
    int64_t at_byte = 0;
    for (const std::vector<int>& group : groups_) {
      sums_->add(add_group(codes, blocks, group, tables, at_byte));
      at_byte += static_cast<int64_t>(group.size()) * table_bytes();
    }
  }

  // The four bytes of every lane: rows 0..W-1, W..2W-1, ... of the block (layout.h).
  std::vector<Vreg> lanes(int block) override { return sums_->lanes(block); }
  std::vector<Vreg> biased_lanes(int block, Vreg bias) override { return sums_->biased_lanes(block, bias); }

 protected:
  virtual int64_t table_bytes() const = 0;  // of one codebook

  // Byte sums of a group, whose tables start `at_byte` into the output's.
  virtual std::vector<Vreg> add_group(Preg codes, int blocks, const std::vector<int>& group, Preg tables,
                                      int64_t at_byte) = 0;

  Mem code(Preg codes, int block, int codebook) const {
    return at(codes, block * layout_.block_bytes() + layout_.offset(0, codebook));
  }

  // Adds to the sum of a block, or begins it: blocks come in order.
  void accumulate(std::vector<Vreg>& sums, int block, Vreg entries) {
    if (block == static_cast<int>(sums.size())) {
      sums.push_back(entries);
    } else {
      b_.add_u8_to(sums[block], sums[block], entries);
    }
  }

  ProgramBuilder& b_;
  const Model& model_;
  const LutGroups& groups_;
  const CodeLayout& layout_;

 private:
  GroupSums group_sums_;
  std::optional<WideSums> sums_;  // of a tile
};

// Tables of 16 entries, or cut into segments of 16 (lut_segments.h): what any byte shuffle looks up.
class SegmentSums : public RowSums {
 public:
  SegmentSums(ProgramBuilder& b, const Model& model, const Schedule& schedule)
      : RowSums(b, model, schedule), n_segments_(lut_segments(model.n_leaves())) {}

  // [output][group][segment][codebook of the group][16 entries]: what a group's look-ups of one segment need is
  // together.
  std::vector<uint8_t> tables() const override {
    std::vector<uint8_t> table(n_segments_ * kSegmentEntries);
    std::vector<uint8_t> result(model_.n_outputs() * bytes_of_output());
    uint8_t* to_group = result.data();
    for (int64_t m = 0; m < model_.n_outputs(); ++m) {
      for (const std::vector<int>& group : groups_) {
        for (size_t i = 0; i < group.size(); ++i) {
          for (int64_t leaf = 0; leaf < model_.n_leaves(); ++leaf) table[leaf] = model_.lut(group[i], leaf, m);
          store_differences(table.data(), n_segments_);
          for (int s = 0; s < n_segments_; ++s) {
            std::copy_n(&table[s * kSegmentEntries], kSegmentEntries,
                        to_group + (s * group.size() + i) * kSegmentEntries);
          }
        }
        to_group += group.size() * table.size();
      }
    }
    return result;
  }

 private:
  int64_t table_bytes() const override { return int64_t{n_segments_} * kSegmentEntries; }

  // Look-ups of the segments of one table are added like those of the codebooks: the order is free modulo 2^8, and the
  // sum is known to fit.
  std::vector<Vreg> add_group(Preg codes, int blocks, const std::vector<int>& group, Preg tables,
                              int64_t at_byte) override {
    const int plain = plain_segment(n_segments_);
    std::vector<Vreg> sums = add_plain_segment(codes, blocks, group, tables, at_byte + plain * segment_bytes(group));
    add_segments(codes, group, tables, at_byte, 0, plain, &ProgramBuilder::add_sat_u8_m, sums);
    add_segments(codes, group, tables, at_byte, plain + 1, n_segments_, &ProgramBuilder::add_u8_m, sums);
    return sums;
  }

  // A table is loaded once for all blocks.
  std::vector<Vreg> add_plain_segment(Preg codes, int blocks, const std::vector<int>& group, Preg tables,
                                      int64_t at_byte) {
    std::vector<Vreg> sums;
    for (const int codebook : group) {
      const Vreg table = b_.broadcast_128(at(tables, at_byte));
      at_byte += kSegmentEntries;
      for (int block = 0; block < blocks; ++block) {
        accumulate(sums, block, b_.lookup_16(table, code(codes, block, codebook)));
      }
    }
    return sums;
  }

  // Segments `begin` to `end` of a group, in a loop: unrolled, many codebooks of deep trees would be megabytes of code.
  void add_segments(Preg codes, const std::vector<int>& group, Preg tables, int64_t at_byte, int begin, int end,
                    Vreg (ProgramBuilder::*add_to_code)(Vreg, Mem), std::vector<Vreg>& sums) {
    if (begin == end) return;
    const Preg segment = b_.add_imm(tables, at_byte + begin * segment_bytes(group));
    const Preg bias_at =
        b_.address(at(b_.constant("index biases", kBiasBytes, index_biases(n_segments_)), begin * kBiasBytes));
    b_.repeat(b_.set(end - begin), [&] {
      const Vreg bias = b_.broadcast_32(at(bias_at));
      for (size_t i = 0; i < group.size(); ++i) {
        const Vreg table = b_.broadcast_128(at(segment, static_cast<int64_t>(i) * kSegmentEntries));
        for (size_t block = 0; block < sums.size(); ++block) {
          const Vreg index = (b_.*add_to_code)(bias, code(codes, static_cast<int>(block), group[i]));
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

  int n_segments_;
};

// Tables of up to 256 entries in one, two or four registers of 64 bytes.
class RegisterSums : public RowSums {
 public:
  using RowSums::RowSums;

  static int64_t table_bytes(const Model& model, int vector_bytes) {
    return std::max<int64_t>(model.n_leaves(), vector_bytes);
  }

  // [output][group][codebook of the group][entries, padded to registers]
  std::vector<uint8_t> tables() const override {
    std::vector<uint8_t> result(model_.n_outputs() * bytes_of_output());
    uint8_t* table = result.data();
    for (int64_t m = 0; m < model_.n_outputs(); ++m) {
      for (const std::vector<int>& group : groups_) {
        for (const int codebook : group) {
          for (int64_t leaf = 0; leaf < model_.n_leaves(); ++leaf) table[leaf] = model_.lut(codebook, leaf, m);
          table += table_bytes();
        }
      }
    }
    return result;
  }

 private:
  int64_t table_bytes() const override { return table_bytes(model_, layout_.vector_bytes()); }

  std::vector<Vreg> add_group(Preg codes, int blocks, const std::vector<int>& group, Preg tables,
                              int64_t at_byte) override {
    std::vector<Vreg> sums;
    for (const int codebook : group) {
      std::vector<Vreg> table;
      for (const int64_t end = at_byte + table_bytes(); at_byte < end; at_byte += layout_.vector_bytes()) {
        table.push_back(b_.load(at(tables, at_byte)));
      }
      for (int block = 0; block < blocks; ++block) {
        accumulate(sums, block, look_up(table, b_.load(code(codes, block, codebook))));
      }
    }
    return sums;
  }

  Vreg look_up(const std::vector<Vreg>& table, Vreg code) {
    if (table.size() == 1) return b_.lookup_64(table[0], code);
    const Vreg low = b_.lookup_128(table[0], table[1], code);
    return table.size() == 2 ? low : b_.blend_sign_u8(low, b_.lookup_128(table[2], table[3], code), code);
  }
};

// kFourCodebooks.
class LaneSums : public LookupSums {
 public:
  LaneSums(ProgramBuilder& b, const Model& model, const Schedule& schedule)
      : b_(b), model_(model), layout_(schedule.codes) {}

  // [output][four codebooks][64 entries, 16 of each codebook]
  std::vector<uint8_t> tables() const override {
    std::vector<uint8_t> result(model_.n_outputs() * bytes_of_output());
    for (int64_t m = 0; m < model_.n_outputs(); ++m) {
      for (int64_t c = 0; c < model_.n_codebooks(); ++c) {
        uint8_t* table = &result[m * bytes_of_output() + c * CodeLayout::kFourthEntries];
        for (int64_t leaf = 0; leaf < model_.n_leaves(); ++leaf) table[leaf] = model_.lut(c, leaf, m);
      }
    }
    return result;
  }
  int64_t bytes_of_output() const override { return layout_.block_bytes(); }  // one entry a code

  void add(Preg codes, Preg tables, int blocks) override {
    const Vreg ones = b_.broadcast_value("ones", 0x01010101);
    sums_.clear();
    for (int block = 0; block < blocks; ++block) sums_.push_back(b_.zero());
    for (int64_t four = 0; four < bytes_of_output(); four += layout_.vector_bytes()) {
      const Vreg table = b_.load(at(tables, four));
      for (int block = 0; block < blocks; ++block) {
        const Vreg entries = b_.lookup_64(table, b_.load(at(codes, block * layout_.block_bytes() + four)));
        b_.dot_u8_to(sums_[block], sums_[block], entries, ones);
      }
    }
  }

  std::vector<Vreg> lanes(int block) override { return {sums_[block]}; }
  std::vector<Vreg> biased_lanes(int, Vreg) override { throw InternalError("sums of 32 bits are converted"); }

 private:
  ProgramBuilder& b_;
  const Model& model_;
  const CodeLayout& layout_;
  std::vector<Vreg> sums_;  // per block
};

}  // namespace

std::unique_ptr<LookupSums> sum_lookups(ProgramBuilder& b, const Model& model, const Schedule& schedule,
                                        const Target& target) {
  if (schedule.codes.packing == CodeLayout::Packing::kFourCodebooks) {
    return std::make_unique<LaneSums>(b, model, schedule);
  }
  const int64_t padded =
      RegisterSums::table_bytes(model, target.vector_bytes) * model.n_codebooks() * model.n_outputs();
  if (target.has(Feature::kByteTables) && model.n_leaves() > kSegmentEntries && padded <= Model::kMaxTableBytes) {
    return std::make_unique<RegisterSums>(b, model, schedule);
  }
  return std::make_unique<SegmentSums>(b, model, schedule);
}

}  // namespace mithral::codegen
