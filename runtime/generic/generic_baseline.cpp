// For any x86-64: the vector type is an array, and the compiler does with it what it can.
#include <xmmintrin.h>

#define MITHRAL_UNROLL_VECTORS  // vectors are loops themselves, which the compiler then no longer makes vectors of
#include "runtime/generic/generic_routines.h"

namespace mithral {
namespace {

struct Baseline {
  static constexpr bool kTablesHoldDifferences = false;  // without shuffles an entry is best read where it is
  struct Floats {
    float lane[kLanes];
  };
  union Ints {
    uint32_t lane[kLanes];
    uint16_t half[2 * kLanes];
    uint8_t byte[4 * kLanes];
  };

  static Floats load(const float* p) {
    return make<Floats>([&](int i) { return p[i]; });
  }
  static Ints load(const uint8_t* p) {
    Ints result;
    __builtin_memcpy(&result, p, sizeof result);
    return result;
  }
  static void store(float* p, Floats v) {
    for (int i = 0; i < kLanes; ++i) p[i] = v.lane[i];
  }
  static void store(uint8_t* p, Ints v) { __builtin_memcpy(p, &v, sizeof v); }
  static Ints zero() { return broadcast_32(0); }
  static Ints broadcast_32(uint32_t x) {
    return make<Ints>([&](int) { return x; });
  }
  static Floats broadcast_f32(float x) {
    return make<Floats>([&](int) { return x; });
  }
  static Ints broadcast_128(const uint8_t* p) {
    Ints result;
    __builtin_memcpy(result.byte, p, 16);
    __builtin_memcpy(result.byte + 16, p, 16);
    return result;
  }

  static Floats permute_8(Floats table, Ints index) {
    return make<Floats>([&](int i) { return table.lane[index.lane[i] & 7]; });
  }
  static Ints less_f32(Floats a, Floats b) {
    return make<Ints>([&](int i) { return a.lane[i] < b.lane[i] ? ~0u : 0u; });
  }
  static Ints lookup_16(Ints table, const uint8_t* indices) {
    Ints result;
    for (int i = 0; i < 4 * kLanes; ++i) result.byte[i] = table.byte[indices[i]];
    return result;
  }

  template <int kBits>
  static Floats select(const float* slots, Ints index) {
    return make<Floats>([&](int i) { return slots[index.lane[i] & ((1 << kBits) - 1)]; });
  }
  template <int kBlocks>
  static void lookup(const uint8_t* table, int64_t, const uint8_t* codes, int64_t block_bytes, Ints* entries) {
    for (int b = 0; b < kBlocks; ++b) {
      for (int i = 0; i < 4 * kLanes; ++i) entries[b].byte[i] = table[codes[b * block_bytes + i]];
    }
  }

  static Ints add_u8(Ints a, Ints b) {
    Ints result;
    for (int i = 0; i < 4 * kLanes; ++i) result.byte[i] = static_cast<uint8_t>(a.byte[i] + b.byte[i]);
    return result;
  }
  static Ints add_u16(Ints a, Ints b) {
    return halves(a, b, [](uint16_t x, uint16_t y) { return x + y; });
  }
  static Ints sub_u16(Ints a, Ints b) {
    return halves(a, b, [](uint16_t x, uint16_t y) { return x - y; });
  }
  static Ints odd_bytes(Ints a) {
    return halves(a, a, [](uint16_t x, uint16_t) { return x >> 8; });
  }
  static Ints shl_u16_8(Ints a) {
    return halves(a, a, [](uint16_t x, uint16_t) { return x << 8; });
  }
  static Ints add_u32(Ints a, Ints b) {
    return make<Ints>([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static Ints sub_u32(Ints a, Ints b) {
    return make<Ints>([&](int i) { return a.lane[i] - b.lane[i]; });
  }
  template <int kBits>
  static Ints shl_u32(Ints a) {
    return make<Ints>([&](int i) { return a.lane[i] << kBits; });
  }
  template <int kBits>
  static Ints shr_u32(Ints a) {
    return make<Ints>([&](int i) { return a.lane[i] >> kBits; });
  }
  static Ints and_bits(Ints a, Ints b) {
    return make<Ints>([&](int i) { return a.lane[i] & b.lane[i]; });
  }
  static Ints mul_u32(Ints a, int32_t by) {
    return make<Ints>([&](int i) { return a.lane[i] * static_cast<uint32_t>(by); });
  }
  static Ints dot_u8(Ints to, Ints a, Ints b) {
    return make<Ints>([&](int i) {
      int32_t sum = 0;
      for (int j = 4 * i; j < 4 * i + 4; ++j) sum += a.byte[j] * static_cast<int8_t>(b.byte[j]);
      return to.lane[i] + static_cast<uint32_t>(sum);
    });
  }
  static Ints f32_to_i32(Floats a) {
    return make<Ints>([&](int i) { return static_cast<uint32_t>(_mm_cvtss_si32(_mm_set_ss(a.lane[i]))); });
  }
  static Floats i32_to_f32(Ints a) {
    return make<Floats>([&](int i) { return static_cast<float>(static_cast<int32_t>(a.lane[i])); });
  }
  static Floats mul_f32(Floats a, Floats b) {
    return make<Floats>([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static Floats min_f32(Floats a, Floats b) {
    return make<Floats>([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static Floats max_f32(Floats a, Floats b) {
    return make<Floats>([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static Floats add_f32(Floats a, Floats b) {
    return make<Floats>([&](int i) { return a.lane[i] + b.lane[i]; });
  }

  static void transpose_8x8(const float* from, int64_t column, uint8_t* to, int64_t row_stride) {
    for (int r = 0; r < kLanes; ++r) {
      float* row = reinterpret_cast<float*>(to + r * row_stride);
      for (int k = 0; k < kLanes; ++k) row[k] = from[k * column + r];
    }
  }

 private:
  template <typename Result, typename F>
  static Result make(F f) {
    Result result;
    for (int i = 0; i < kLanes; ++i) result.lane[i] = f(i);
    return result;
  }
  template <typename F>
  static Ints halves(Ints a, Ints b, F f) {
    Ints result;
    for (int i = 0; i < 2 * kLanes; ++i) result.half[i] = static_cast<uint16_t>(f(a.half[i], b.half[i]));
    return result;
  }
};

}  // namespace

constinit const GenericBuild kGenericBaseline = generic_build<Baseline>();

}  // namespace mithral
