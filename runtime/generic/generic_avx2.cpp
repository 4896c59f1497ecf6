// Compiled with -mavx2.
#include <immintrin.h>

#define MITHRAL_UNROLL_VECTORS _Pragma("GCC unroll 4")
#include "runtime/generic/generic_routines.h"

namespace mithral {
namespace {

struct Avx2 {
  using Floats = __m256;
  using Ints = __m256i;
  static constexpr bool kTablesHoldDifferences = true;

  static Floats load(const float* p) { return _mm256_loadu_ps(p); }
  static Ints load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store(float* p, Floats v) { _mm256_storeu_ps(p, v); }
  static void store(uint8_t* p, Ints v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static Ints zero() { return _mm256_setzero_si256(); }
  static Ints broadcast_32(int32_t x) { return _mm256_set1_epi32(x); }
  static Floats broadcast_f32(float x) { return _mm256_set1_ps(x); }
  static Ints broadcast_128(const uint8_t* p) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }

  static Floats permute_8(Floats table, Ints index) { return _mm256_permutevar8x32_ps(table, index); }
  static Ints less_f32(Floats a, Floats b) { return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
  static Ints lookup_16(Ints table, const uint8_t* indices) { return _mm256_shuffle_epi8(table, load(indices)); }

  // Of 2^kBits slots, those that the low bits of `index` name.
  template <int kBits>
  static Floats select(const float* slots, Ints index) {
    if constexpr (kBits == 3) {
      return permute_8(load(slots), index);
    } else {
      constexpr int kHalf = 1 << (kBits - 1);
      const Floats low = select<kBits - 1>(slots, index), high = select<kBits - 1>(slots + kHalf, index);
      return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(shl_u32<32 - kBits>(index)));
    }
  }

  // Entries of a table of several segments for kBlocks blocks of codes (codegen/scan/lut_segments.h).
  template <int kBlocks>
  static void lookup(const uint8_t* table, int64_t n_segments, const uint8_t* codes, int64_t block_bytes,
                     Ints* entries) {
    const int64_t plain = n_segments < 8 ? n_segments - 1 : 7;
    const Ints plain_table = broadcast_128(table + plain * kSegmentEntries);
    for (int b = 0; b < kBlocks; ++b) entries[b] = lookup_16(plain_table, codes + b * block_bytes);
    const Ints step = _mm256_set1_epi8(-kSegmentEntries);
    Ints bias = _mm256_set1_epi8(7 * kSegmentEntries);
    for (int64_t s = 0; s < plain; ++s, bias = _mm256_add_epi8(bias, step)) {
      add_segment<kBlocks>(table + s * kSegmentEntries, codes, block_bytes, entries,
                           [bias](Ints code) { return _mm256_adds_epu8(code, bias); });
    }
    for (int64_t s = plain + 1; s < n_segments; ++s) {
      bias = _mm256_add_epi8(bias, step);
      add_segment<kBlocks>(table + s * kSegmentEntries, codes, block_bytes, entries,
                           [bias](Ints code) { return _mm256_add_epi8(code, bias); });
    }
  }

  static Ints add_u8(Ints a, Ints b) { return _mm256_add_epi8(a, b); }
  static Ints add_u16(Ints a, Ints b) { return _mm256_add_epi16(a, b); }
  static Ints sub_u16(Ints a, Ints b) { return _mm256_sub_epi16(a, b); }
  // The odd bytes as 16 bits. Not by a shift: on AMD's CPUs shifts wait for the ports that look up.
  static Ints odd_bytes(Ints a) { return _mm256_maddubs_epi16(a, _mm256_set1_epi16(0x0100)); }
  static Ints shl_u16_8(Ints a) { return _mm256_slli_epi16(a, 8); }
  static Ints add_u32(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
  static Ints sub_u32(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
  template <int kBits>
  static Ints shl_u32(Ints a) {
    return _mm256_slli_epi32(a, kBits);
  }
  template <int kBits>
  static Ints shr_u32(Ints a) {
    return _mm256_srli_epi32(a, kBits);
  }
  static Ints and_bits(Ints a, Ints b) { return _mm256_and_si256(a, b); }
  static Ints mul_u32(Ints a, int32_t by) { return _mm256_mullo_epi32(a, _mm256_set1_epi32(by)); }
  // To each lane, its four unsigned bytes times four signed ones.
  static Ints dot_u8(Ints to, Ints a, Ints b) {
    return _mm256_add_epi32(to, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)));
  }
  static Ints f32_to_i32(Floats a) { return _mm256_cvtps_epi32(a); }
  static Floats i32_to_f32(Ints a) { return _mm256_cvtepi32_ps(a); }
  static Floats mul_f32(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats min_f32(Floats a, Floats b) { return _mm256_min_ps(a, b); }
  static Floats max_f32(Floats a, Floats b) { return _mm256_max_ps(a, b); }
  static Floats add_f32(Floats a, Floats b) { return _mm256_add_ps(a, b); }

  // Eight columns of eight floats, `column` floats apart -> eight rows, `row_stride` bytes apart.
  static void transpose_8x8(const float* from, int64_t column, uint8_t* to, int64_t row_stride) {
    for (int half = 0; half < 2; ++half, from += 4, to += 4 * row_stride) {
      __m256 v[4];
      for (int k = 0; k < 4; ++k) {
        v[k] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from + k * column)),
                                    _mm_loadu_ps(from + (k + 4) * column), 1);
      }
      const __m256 lo_01 = _mm256_unpacklo_ps(v[0], v[1]), lo_23 = _mm256_unpacklo_ps(v[2], v[3]);
      const __m256 hi_01 = _mm256_unpackhi_ps(v[0], v[1]), hi_23 = _mm256_unpackhi_ps(v[2], v[3]);
      const auto row = [&](int r) { return reinterpret_cast<float*>(to + r * row_stride); };
      store(row(0), _mm256_shuffle_ps(lo_01, lo_23, 0x44));
      store(row(1), _mm256_shuffle_ps(lo_01, lo_23, 0xee));
      store(row(2), _mm256_shuffle_ps(hi_01, hi_23, 0x44));
      store(row(3), _mm256_shuffle_ps(hi_01, hi_23, 0xee));
    }
  }

 private:
  template <int kBlocks, typename IndexOf>
  static void add_segment(const uint8_t* segment, const uint8_t* codes, int64_t block_bytes, Ints* entries,
                          IndexOf index_of) {
    const Ints table = broadcast_128(segment);
    for (int b = 0; b < kBlocks; ++b) {
      const Ints code = load(codes + b * block_bytes);
      entries[b] = _mm256_add_epi8(entries[b], _mm256_shuffle_epi8(table, index_of(code)));
    }
  }
};

}  // namespace

constinit const GenericBuild kGenericAvx2 = generic_build<Avx2>();

}  // namespace mithral
