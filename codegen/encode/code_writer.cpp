#include "codegen/encode/code_writer.h"

#include "codegen/program/bytes.h"

namespace mithral::codegen {

CodeWriter::CodeWriter(ProgramBuilder& b, const CodeLayout& layout, Vreg zero) : b_(b), zero_(zero) {
  if (layout.packing == CodeLayout::Packing::kFourRows) return;
  places_ = b_.broadcast_value("places of the four tables", 0x30201000);
}

void CodeWriter::write_block(Preg codes, const std::vector<Vreg>& negated) {
  b_.store(at(codes), b_.sub_u32(zero_, pack(negated)));
}

void CodeWriter::write_pair(Preg codes, int codebook, const std::vector<Vreg>& negated) {
  const bool is_first = codebook % CodeLayout::kBytesOfLane == 0;
  const Vreg packed = pack(negated);
  const Vreg codes_so_far = is_first ? places_ : b_.load(at(codes));
  b_.store(at(codes), b_.sub_u32(codes_so_far, is_first ? packed : b_.shl_u32(packed, 16)));
}

// Negated codes of up to four vectors -> one byte of every lane each, still negated: sums of shifted negatives borrow
// from one another, but modulo 2^32 such a sum is the negative of n0 + 2^8 n1 + 2^16 n2 + 2^24 n3. Codes are below 2^8,
// so nothing carries in there, and subtracting the whole lane leaves a byte of each.
Vreg CodeWriter::pack(const std::vector<Vreg>& negated) {
  Vreg packed = negated.back();
  for (size_t i = negated.size() - 1; i-- > 0;) packed = b_.add_u32(b_.shl_u32(packed, 8), negated[i]);
  return packed;
}

// Row g * W + l goes to byte g of lane l: four rows are brought into the segment of their lanes as one lane, then their
// bytes among the lanes of the segment.
ByteCodeOrder::ByteCodeOrder(ProgramBuilder& b, const Target& target) : b_(b), target_(target) {
  std::vector<uint32_t> lanes;
  const int n_segments = target_.lanes() / 4;
  for (int segment = 0; segment < n_segments; ++segment) {
    for (int group = 0; group < 4; ++group) lanes.push_back(static_cast<uint32_t>(group * n_segments + segment));
  }
  if (n_segments > 1) lane_order_ = b_.load(at(b_.constant("order of lanes", target_.vector_bytes, bytes_of(lanes))));
  std::vector<uint8_t> bytes;
  for (int lane = 0; lane < 4; ++lane) {
    for (int group = 0; group < 4; ++group) bytes.push_back(static_cast<uint8_t>(4 * group + lane));
  }
  byte_order_ = b_.broadcast_128(at(b_.constant("order of bytes", kSegmentBytes, bytes)));
}

Vreg ByteCodeOrder::in_code_order(Vreg rows) {
  const bool one_segment = target_.lanes() == 4;
  return b_.lookup_16_by(one_segment ? rows : b_.permute_all(rows, lane_order_), byte_order_);
}

}  // namespace mithral::codegen
