// What the generic routines share (generic_routines.h): byte sums of groups of codebooks -> outputs.
#pragma once

#include "runtime/generic.h"

namespace mithral {
namespace {

constexpr int kLanes = kGenericLanes;
constexpr int kVectorBytes = 4 * kLanes;
constexpr int kBlockRows = 32;
constexpr int kCodesOfLane = 4;
constexpr int kGroups = 4;  // vectors of rows in a block, or of outputs in a vector of bytes

template <typename T>
T* pointer(int64_t address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

// 16-bit sums of the bytes of kVectors vectors, as kPairs of codegen/word_sums.h.
template <typename V, int kVectors>
class WordSums {
 public:
  WordSums() {
    for (int v = 0; v < kVectors; ++v) pairs_[v] = odds_[v] = V::zero();
  }

  // Byte sums of the next group.
  void add(const typename V::Ints* bytes) {
    for (int v = 0; v < kVectors; ++v) {
      pairs_[v] = V::add_u16(pairs_[v], bytes[v]);
      odds_[v] = V::add_u16(odds_[v], V::odd_bytes(bytes[v]));
    }
  }

  // The sums of the four bytes of every lane of a vector.
  void lanes(int vector, typename V::Ints* sums) const {
    const typename V::Ints low_half = V::broadcast_32(0xffff), odd = odds_[vector];
    const typename V::Ints even = V::sub_u16(pairs_[vector], V::shl_u16_8(odd));
    sums[0] = V::and_bits(even, low_half);
    sums[1] = V::and_bits(odd, low_half);
    sums[2] = V::template shr_u32<16>(even);
    sums[3] = V::template shr_u32<16>(odd);
  }

 private:
  typename V::Ints pairs_[kVectors], odds_[kVectors];
};

// Calls `look_up(codebook, entries)` for every codebook, as grouped, to fill kVectors vectors of table entries. Within
// a group they are added as bytes, which cannot overflow (codegen/lut_groups.h).
template <typename V, int kVectors, typename LookUp>
WordSums<V, kVectors> add_groups(const GenericModel& model, LookUp&& look_up) {
  WordSums<V, kVectors> total;
  const int32_t* codebook = model.grouped_codebooks;
  for (int64_t g = 0; g < model.n_groups; ++g) {
    typename V::Ints sums[kVectors], entries[kVectors];
    look_up(*codebook++, sums);
    for (const int32_t* end = codebook + model.group_sizes[g] - 1; codebook < end; ++codebook) {
      look_up(*codebook, entries);
      for (int v = 0; v < kVectors; ++v) sums[v] = V::add_u8(sums[v], entries[v]);
    }
    total.add(sums);
  }
  return total;
}

// Eight sums, or what becomes of them, to `to`.
template <typename V, bool kScaled>
void write_lanes(const GenericModel& model, typename V::Ints sums, typename V::Floats scale, typename V::Floats offset,
                 float* to) {
  if constexpr (kScaled) {
    const typename V::Floats scaled = V::add_f32(V::mul_f32(V::i32_to_f32(sums), scale), offset);
    V::store(to, V::max_f32(scaled, V::broadcast_f32(model.least)));
  } else {
    V::store(reinterpret_cast<uint8_t*>(to), sums);
  }
}

}  // namespace
}  // namespace mithral
