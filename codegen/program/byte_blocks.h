// Moves bytes between rows and columns, sixteen at a time: how tables and given codes get into the order that kernels
// read. Plain SSE2, which every x86-64 has.
#pragma once

#include <emmintrin.h>

#include <cstdint>

namespace mithral::codegen {

inline constexpr int kByteBlock = 16;

// Sixteen rows of sixteen bytes -> its sixteen columns: byte r of to(c) is byte c of from(r). `from(r)` and `to(c)`
// return addresses.
template <typename From, typename To>
void transpose_bytes(From&& from, To&& to) {
  __m128i a[kByteBlock], b[kByteBlock];
  for (int i = 0; i < kByteBlock; ++i) a[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from(i)));
  // Four rounds, each interleaving rows i and i + 8: the bits of (row, byte) rotate by one.
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < kByteBlock / 2; ++i) {
      b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + kByteBlock / 2]);
      b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + kByteBlock / 2]);
    }
    for (int i = 0; i < kByteBlock; ++i) a[i] = b[i];
  }
  for (int i = 0; i < kByteBlock; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(to(i)), a[i]);
}

// Four runs of `count` bytes -> one of 4 * count: byte 4 * i + j of `to` is byte i of run j.
inline void interleave_bytes(const uint8_t* const runs[4], int64_t count, uint8_t* to) {
  int64_t i = 0;
  for (; i + kByteBlock <= count; i += kByteBlock) {
    const auto load = [&](int j) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(runs[j] + i)); };
    const __m128i even_lo = _mm_unpacklo_epi8(load(0), load(2)), even_hi = _mm_unpackhi_epi8(load(0), load(2));
    const __m128i odd_lo = _mm_unpacklo_epi8(load(1), load(3)), odd_hi = _mm_unpackhi_epi8(load(1), load(3));
    auto* out = reinterpret_cast<__m128i*>(to + 4 * i);
    _mm_storeu_si128(out, _mm_unpacklo_epi8(even_lo, odd_lo));
    _mm_storeu_si128(out + 1, _mm_unpackhi_epi8(even_lo, odd_lo));
    _mm_storeu_si128(out + 2, _mm_unpacklo_epi8(even_hi, odd_hi));
    _mm_storeu_si128(out + 3, _mm_unpackhi_epi8(even_hi, odd_hi));
  }
  for (; i + kByteBlock / 2 <= count; i += kByteBlock / 2) {
    const auto load = [&](int j) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(runs[j] + i)); };
    const __m128i even = _mm_unpacklo_epi8(load(0), load(2)), odd = _mm_unpacklo_epi8(load(1), load(3));
    auto* out = reinterpret_cast<__m128i*>(to + 4 * i);
    _mm_storeu_si128(out, _mm_unpacklo_epi8(even, odd));
    _mm_storeu_si128(out + 1, _mm_unpackhi_epi8(even, odd));
  }
  for (; i < count; ++i) {
    for (int j = 0; j < 4; ++j) to[4 * i + j] = runs[j][i];
  }
}

}  // namespace mithral::codegen
