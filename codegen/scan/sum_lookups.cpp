#include "codegen/scan/sum_lookups.h"

#include <optional>

#include "codegen/model/error.h"
#include "codegen/scan/group_sums.h"
#include "codegen/scan/lut_segments.h"

namespace mithral::codegen {
namespace {

constexpr int kBiasBytes = 4;

// The biases of all segments' indices, each repeated in the four bytes of a lane.
std::vector<uint8_t> index_biases(int n_segments) {
  std::vector<uint8_t> result;
  for (int s = 0; s < n_segments; ++s) result.insert(result.end(), kBiasBytes, index_bias(s));
  return result;
}

// The codes of the blocks that share the load of a table.
struct Blocks {
  Preg codes;
  int count;
};

// A group of codebooks, whose tables start `at_byte` into the output's at `tables`.
struct Group {
  const std::vector<int>& codebooks;
  Preg tables;
  int64_t at_byte;

  int64_t segment_bytes() const { return static_cast<int64_t>(codebooks.size()) * kSegmentEntries; }
};

// Codes of four rows to a lane, the part that does not depend on how a table is looked up in.
class FourRowsSums : public LookupSums {
 public:
  FourRowsSums(ProgramBuilder& b, const ScanPlan& plan) : b_(b), plan_(plan) {}

  void add(Preg codes, Preg tables, int blocks) override {
    const LutGroups& groups = plan_.lookup_tables.groups();
    sums_.emplace(b_, static_cast<int>(groups.size()));
    int64_t at_byte = 0;
    for (const std::vector<int>& codebooks : groups) {
      sums_->add(add_group({codes, blocks}, {codebooks, tables, at_byte}));
      at_byte += static_cast<int64_t>(codebooks.size()) * plan_.lookup_tables.bytes_of_codebook();
    }
  }

  // The four bytes of every lane: rows 0..W-1, W..2W-1, ... of the block (code_layout.h).
  std::vector<Vreg> lanes(int block) override { return sums_->lanes(block); }
  std::vector<Vreg> biased_lanes(int block, Vreg bias) override { return sums_->biased_lanes(block, bias); }

 protected:
  // Byte sums of a group, one for each block.
  virtual std::vector<Vreg> add_group(const Blocks& blocks, const Group& group) = 0;

  Mem code(const Blocks& blocks, int block, int codebook) const {
    return at(blocks.codes, block * plan_.codes.block_bytes() + plan_.codes.offset(0, codebook));
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
  const ScanPlan& plan_;

 private:
  std::optional<GroupSums> sums_;  // of the last call of add()
};

// LookupTables::kSegments.
class SegmentSums : public FourRowsSums {
 public:
  SegmentSums(ProgramBuilder& b, const ScanPlan& plan)
      : FourRowsSums(b, plan), n_segments_(lut_segments(plan.shape.n_entries)) {}

 private:
  // Behaviours of a byte where the sum of a code and a bias does not fit.
  enum class Overflow { kSaturates, kWraps };

  // Segments `begin` to `end`, and how a code becomes an index into them.
  struct Segments {
    int begin, end;
    Overflow overflow;
  };

  // Look-ups of the segments of one table are added like those of the codebooks: the order is free modulo 2^8, and the
  // sum is known to fit.
  std::vector<Vreg> add_group(const Blocks& blocks, const Group& group) override {
    const int plain = plain_segment(n_segments_);
    std::vector<Vreg> sums = add_plain_segment(blocks, group, group.at_byte + plain * group.segment_bytes());
    add_segments(blocks, group, {0, plain, Overflow::kSaturates}, sums);
    add_segments(blocks, group, {plain + 1, n_segments_, Overflow::kWraps}, sums);
    return sums;
  }

  // A table is loaded once for all blocks.
  std::vector<Vreg> add_plain_segment(const Blocks& blocks, const Group& group, int64_t at_byte) {
    std::vector<Vreg> sums;
    for (const int codebook : group.codebooks) {
      const Vreg table = b_.broadcast_128(at(group.tables, at_byte));
      at_byte += kSegmentEntries;
      for (int block = 0; block < blocks.count; ++block) {
        accumulate(sums, block, b_.lookup_16(table, code(blocks, block, codebook)));
      }
    }
    return sums;
  }

  // A loop: unrolled, many codebooks of large tables would be megabytes of code.
  void add_segments(const Blocks& blocks, const Group& group, const Segments& segments, std::vector<Vreg>& sums) {
    if (segments.begin == segments.end) return;
    const Preg segment = b_.add_imm(group.tables, group.at_byte + segments.begin * group.segment_bytes());
    const Mem biases =
        at(b_.constant("index biases", kBiasBytes, index_biases(n_segments_)), segments.begin * kBiasBytes);
    const Preg bias_at = b_.address(biases);
    b_.repeat(b_.set(segments.end - segments.begin), [&] {
      const Vreg bias = b_.broadcast_32(at(bias_at));
      for (size_t i = 0; i < group.codebooks.size(); ++i) {
        const Vreg table = b_.broadcast_128(at(segment, static_cast<int64_t>(i) * kSegmentEntries));
        for (int block = 0; block < blocks.count; ++block) {
          const Mem from = code(blocks, block, group.codebooks[i]);
          const bool saturates = segments.overflow == Overflow::kSaturates;
          const Vreg index = saturates ? b_.add_sat_u8_m(bias, from) : b_.add_u8_m(bias, from);
          b_.add_u8_to(sums[block], sums[block], b_.lookup_16_by(table, index));
        }
      }
      b_.advance(segment, group.segment_bytes());
      b_.advance(bias_at, kBiasBytes);
    });
  }

  int n_segments_;
};

// LookupTables::kRegisters: up to 256 entries in one, two or four registers of 64 bytes.
class RegisterSums : public FourRowsSums {
 public:
  using FourRowsSums::FourRowsSums;

 private:
  std::vector<Vreg> add_group(const Blocks& blocks, const Group& group) override {
    std::vector<Vreg> sums;
    int64_t at_byte = group.at_byte;
    for (const int codebook : group.codebooks) {
      const std::vector<Vreg> table = load_table(at(group.tables, at_byte));
      at_byte += plan_.lookup_tables.bytes_of_codebook();
      for (int block = 0; block < blocks.count; ++block) {
        accumulate(sums, block, look_up(table, b_.load(code(blocks, block, codebook))));
      }
    }
    return sums;
  }

  std::vector<Vreg> load_table(Mem first) {
    std::vector<Vreg> table;
    for (int64_t byte = 0; byte < plan_.lookup_tables.bytes_of_codebook(); byte += plan_.codes.vector_bytes()) {
      table.push_back(b_.load(behind(first, byte)));
    }
    return table;
  }

  Vreg look_up(const std::vector<Vreg>& table, Vreg code) {
    if (table.size() == 1) return b_.lookup_64(table[0], code);
    const Vreg low = b_.lookup_128(table[0], table[1], code);
    return table.size() == 2 ? low : b_.blend_sign_u8(low, b_.lookup_128(table[2], table[3], code), code);
  }
};

// LookupTables::kFourCodebooks.
class FourCodebooksSums : public LookupSums {
 public:
  FourCodebooksSums(ProgramBuilder& b, const ScanPlan& plan) : b_(b), layout_(plan.codes) {}

  // A table of four codebooks is as large as a block's codes of them.
  void add(Preg codes, Preg tables, int blocks) override {
    const Vreg ones = b_.broadcast_value("ones", 0x01010101);
    sums_.clear();
    for (int block = 0; block < blocks; ++block) sums_.push_back(b_.zero());
    for (int64_t four = 0; four < layout_.code_bytes(); four += layout_.vector_bytes()) {
      const Vreg table = b_.load(at(tables, four));
      for (int block = 0; block < blocks; ++block) {
        const Vreg entries = b_.lookup_64(table, b_.load(at(codes, block * layout_.block_bytes() + four)));
        b_.dot_u8_to(sums_[block], sums_[block], entries, ones);
      }
    }
  }

  std::vector<Vreg> lanes(int block) override { return {sums_[block]}; }
  std::vector<Vreg> biased_lanes(int block, Vreg bias) override { return {b_.or_bits(sums_[block], bias)}; }

 private:
  ProgramBuilder& b_;
  const CodeLayout& layout_;
  std::vector<Vreg> sums_;  // per block
};

}  // namespace

std::unique_ptr<LookupSums> sum_lookups(ProgramBuilder& b, const ScanPlan& plan) {
  switch (plan.lookup_tables.kind()) {
    case LookupTables::Kind::kFourCodebooks: return std::make_unique<FourCodebooksSums>(b, plan);
    case LookupTables::Kind::kRegisters: return std::make_unique<RegisterSums>(b, plan);
    case LookupTables::Kind::kSegments: return std::make_unique<SegmentSums>(b, plan);
  }
  throw InternalError("unknown kind of tables");
}

}  // namespace mithral::codegen
