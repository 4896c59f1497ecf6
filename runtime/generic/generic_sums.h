// What the generic routines share (generic_routines.h): byte sums of groups of codebooks -> outputs.
#pragma once

#include "runtime/generic/generic.h"

namespace mithral {
namespace {

constexpr int kLanes = kGenericLanes;
constexpr int kVectorBytes = 4 * kLanes;
constexpr int kBlockRows = 32;
constexpr int kCodesOfLane = 4;
constexpr int kQuarters = 4;  // vectors of rows in a block, or of outputs in a vector of bytes

// 16-bit sums of the bytes of kVectors vectors, as codegen/scan/group_sums.h has them. Loops over the vectors are
// unrolled by pragmas where GCC would do it too late to keep sums in registers.
template <typename V, int kVectors>
class WordSums {
 public:
  WordSums() {
    MITHRAL_UNROLL_VECTORS
    for (int v = 0; v < kVectors; ++v) pairs_[v] = odds_[v] = V::zero();
  }

  // Byte sums of the next group.
  void add(const typename V::Ints* bytes) {
    MITHRAL_UNROLL_VECTORS
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

// Adds groups of kSize codebooks: `look_up(codebook, entries)` fills kVectors vectors of table entries. Within a group
// they are added as bytes, which cannot overflow (codegen/scan/lut_groups.h).
template <typename V, int kVectors, int kSize, typename LookUp>
void add_groups_of(int64_t n_groups, const int32_t*& codebook, LookUp&& look_up, WordSums<V, kVectors>& total) {
  for (int64_t g = 0; g < n_groups; ++g, codebook += kSize) {
    typename V::Ints sums[kVectors], entries[kVectors];
    look_up(codebook[0], sums);
    for (int i = 1; i < kSize; ++i) {
      look_up(codebook[i], entries);
      for (int v = 0; v < kVectors; ++v) sums[v] = V::add_u8(sums[v], entries[v]);
    }
    total.add(sums);
  }
}

// Sums all groups. Without kGrouped each codebook is its own group, in their order: look-ups that need many registers
// leave none for the sums of a group.
template <typename V, int kVectors, bool kGrouped, typename LookUp>
WordSums<V, kVectors> add_groups(const GenericModel& model, LookUp&& look_up) {
  static_assert(kGenericGroupSize == 4, "groups have one to four codebooks");
  WordSums<V, kVectors> total;
  const int32_t* codebook = model.grouped_codebooks;
  add_groups_of<V, kVectors, 1>(kGrouped ? model.n_groups[0] : model.n_codebooks, codebook, look_up, total);
  if constexpr (kGrouped) {
    add_groups_of<V, kVectors, 2>(model.n_groups[1], codebook, look_up, total);
    add_groups_of<V, kVectors, 3>(model.n_groups[2], codebook, look_up, total);
    add_groups_of<V, kVectors, 4>(model.n_groups[3], codebook, look_up, total);
  }
  return total;
}

// Adds linear dims to sums of table entries, of the rows of a block or of consecutive outputs, W a quarter.
// `multiply(four)` adds the products of four dims.
template <typename V, typename Multiply>
void add_linear(const GenericModel& model, typename V::Ints* sums, Multiply&& multiply) {
  for (int quarter = 0; quarter < kQuarters; ++quarter)
    sums[quarter] = V::mul_u32(sums[quarter], model.scale_of_entries);
  for (int64_t four = 0; four < model.n_fours; ++four) multiply(four);
}

// Those of an output whose weights these are.
template <typename V>
void add_linear_to_rows(const GenericModel& model, const uint8_t* block, const uint8_t* weights,
                        typename V::Ints* sums) {
  const uint8_t* dims = block + model.n_codebooks * kBlockRows;
  add_linear<V>(model, sums, [&](int64_t four) {
    int32_t of_output;
    __builtin_memcpy(&of_output, weights + four * kCodesOfLane, sizeof of_output);
    const typename V::Ints held = V::broadcast_32(of_output);
    for (int quarter = 0; quarter < kQuarters; ++quarter) {
      const typename V::Ints of_rows = V::load(dims + four * kCodesOfLane * kBlockRows + quarter * kVectorBytes);
      sums[quarter] = V::dot_u8(sums[quarter], of_rows, held);
    }
  });
}

// Those of a row whose first dims are at `dims`; its outputs' weights of four dims are `bytes_of_four` apart.
template <typename V>
void add_linear_to_outputs(const GenericModel& model, const uint8_t* dims, const uint8_t* weights,
                           int64_t bytes_of_four, typename V::Ints* sums) {
  add_linear<V>(model, sums, [&](int64_t four) {
    int32_t of_row;
    __builtin_memcpy(&of_row, dims + four * kCodesOfLane * kBlockRows, sizeof of_row);
    const typename V::Ints held = V::broadcast_32(of_row);
    for (int quarter = 0; quarter < kQuarters; ++quarter) {
      const typename V::Ints of_outputs = V::load(weights + four * bytes_of_four + quarter * kVectorBytes);
      sums[quarter] = V::dot_u8(sums[quarter], held, of_outputs);
    }
  });
}

// What becomes of the sums of an output, or of eight.
template <typename V>
struct Scaling {
  typename V::Floats scale, offset, least;
};

// Eight outputs, to `to`.
template <typename V>
void write_scaled(typename V::Ints sums, const Scaling<V>& by, float* to) {
  const typename V::Floats scaled = V::add_f32(V::mul_f32(V::i32_to_f32(sums), by.scale), by.offset);
  V::store(to, V::max_f32(scaled, by.least));
}
template <typename V>
void write_sums(typename V::Ints sums, float* to) {
  V::store(reinterpret_cast<uint8_t*>(to), sums);
}

}  // namespace
}  // namespace mithral
