#include "codegen/encode/trees/select_thresholds.h"

#include <algorithm>
#include <bit>

#include "codegen/model/error.h"
#include "codegen/program/bytes.h"

namespace mithral::codegen {
namespace {

constexpr size_t kSegmentSlots = 4;  // of a 128-bit segment; smaller levels are padded to it

// Byte shuffles that stand for a permutation of lanes: the low byte of every lane in all four of its bytes, and what
// each byte adds to the place of its lane.
std::vector<uint8_t> low_byte_of_lanes() { return {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12}; }
std::vector<uint8_t> bytes_of_lanes() { return {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}; }

}  // namespace

size_t permuted_slots(const Target& target) { return static_cast<size_t>(target.lanes()); }

size_t most_permuted_slots(const Target& target) {
  return permuted_slots(target) * (target.has(Feature::kPermuteTwo) ? 2 : 1);
}

Slots arrange_slots(ProgramBuilder& b, const TreeLevel& level, const Target& target) {
  const size_t nodes = level.thresholds.size();
  const bool one_segment = nodes <= kSegmentSlots;
  const size_t slots = one_segment ? kSegmentSlots : std::max(nodes, permuted_slots(target));
  Slots result{kNoConstant, std::vector<float>(slots), std::vector<bool>(slots)};
  for (size_t node = 0; node < nodes; ++node) {
    result.thresholds[(slots - node) % slots] = level.thresholds[node];
    result.reachable[(slots - node) % slots] = level.reachable[node];
  }
  const size_t alignment = std::min(slots, permuted_slots(target)) * kFloatBytes;
  result.constant = b.constant("thresholds", static_cast<int>(alignment), bytes_of(result.thresholds));
  return result;
}

Vreg load_slots(ProgramBuilder& b, const Slots& slots) {
  return slots.size() == kSegmentSlots ? b.broadcast_128(at(slots.constant)) : b.load(at(slots.constant));
}

int ThresholdSelection::n_registers(size_t n_slots, const Target& target) {
  const size_t runs = std::max<size_t>(n_slots / most_permuted_slots(target), 1);
  const int heights = std::countr_zero(runs);
  const int indices = target.has(Feature::kPermute4) ? 0 : 1;
  return indices + (heights == 0 ? 1 : heights + 3);  // a waiting result a height, the lowest bit, another, a result
}

Vreg ThresholdSelection::run(std::optional<Vreg> held) {
  return held ? permute_held(*held) : among(0, slots_.size());  // some row gets to every level
}

// Among `count` slots from `first` on, of which some row gets to one.
Vreg ThresholdSelection::among(size_t first, size_t count) {
  if (const std::optional<size_t> slot = only_slot(first, count)) return b_.broadcast_32(threshold_at(*slot));
  const size_t half = count / 2;
  if (count <= permuted_slots(target_)) return permute(first, count);
  if (!some_reachable(first + half, half)) return among(first, half);
  if (!some_reachable(first, half)) return among(first + half, half);
  if (count <= most_permuted_slots(target_)) return permute(first, count);
  const Vreg low = among(first, half), high = among(first + half, half);
  return b_.blend_sign(low, high, bit_as_sign(half));
}

bool ThresholdSelection::some_reachable(size_t first, size_t count) const {
  const auto begin = slots_.reachable.begin() + first;
  return std::find(begin, begin + count, true) != begin + count;
}

// A slot with the threshold that all reachable ones share, if they do.
std::optional<size_t> ThresholdSelection::only_slot(size_t first, size_t count) const {
  std::optional<size_t> result;
  for (size_t slot = first; slot < first + count; ++slot) {
    if (!slots_.reachable[slot]) continue;
    if (!result) result = slot;
    if (slots_.thresholds[*result] != slots_.thresholds[slot]) return {};
  }
  return result;
}

// Straight from memory.
Vreg ThresholdSelection::permute(size_t first, size_t count) {
  const Mem slots = threshold_at(first);
  if (count > permuted_slots(target_)) {
    const Mem upper = threshold_at(first + permuted_slots(target_));
    return b_.permute_two_m(b_.load(slots), negated_nodes_, upper);
  }
  if (count == kSegmentSlots) return permute_held(b_.broadcast_128(slots));
  return b_.permute_all_m(negated_nodes_, slots);
}

Vreg ThresholdSelection::permute_held(Vreg held) {
  if (!target_.has(Feature::kPermute4)) return b_.lookup_16_by(held, byte_indices());
  if (slots_.size() == kSegmentSlots) return b_.permute_4(held, negated_nodes_);
  return b_.permute_all(held, negated_nodes_);
}

// In every byte of a lane, the place of that byte of the slot that the lane's low two bits name.
Vreg ThresholdSelection::byte_indices() {
  if (!byte_indices_) {
    const ConstantId low_byte = b_.constant("low bytes", target_.vector_bytes, low_byte_of_lanes());
    const ConstantId places = b_.constant("bytes of lanes", target_.vector_bytes, bytes_of_lanes());
    const Vreg four_times = b_.shr_u32(b_.shl_u32(negated_nodes_, 30), 28);
    byte_indices_ = b_.add_u8_m(b_.lookup_16(four_times, at(low_byte)), at(places));
  }
  return *byte_indices_;
}

// The lowest bit is needed as often as all others together: it is kept, they are made when they are needed.
Vreg ThresholdSelection::bit_as_sign(size_t value) {
  const bool lowest = value == most_permuted_slots(target_);
  if (lowest && lowest_bit_) return *lowest_bit_;
  const Vreg sign = b_.shl_u32(negated_nodes_, std::countl_zero(static_cast<uint32_t>(value)));
  if (lowest) lowest_bit_ = sign;
  return sign;
}

Mem ThresholdSelection::threshold_at(size_t slot) const {
  return at(slots_.constant, static_cast<int64_t>(slot) * kFloatBytes);
}

}  // namespace mithral::codegen
