/* The AVX-512 instructions that the backends emit (jit/avx512*_backend.h), against plain C: is the CPU right that the
 * tests of emitted code run on? bochs 2.7 computes some instructions wrongly (README.md), some of them only with an
 * operand in memory, so each is tried with the last operand in a register and in memory. instruction_list_test.py
 * compares the list with the backends'. */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef union {
  uint8_t b[64];
  int8_t sb[64];
  uint16_t w[32];
  int16_t sw[32];
  uint32_t d[16];
  int32_t sd[16];
  uint64_t q[8];
  float f[16];
  __m512i z;
  __m128i x;
} Vector __attribute__((aligned(64)));

static int checks, failures;

static uint64_t next_random(void) {
  static uint64_t state = 88172645463325252ull;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static Vector random_bytes(void) {
  Vector v;
  for (int i = 0; i < 8; ++i) v.q[i] = next_random();
  return v;
}

/* Values of all sizes, equal ones, and now and then what arithmetic treats apart. */
static Vector random_floats(void) {
  static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, 1e-41f, 3e38f};
  Vector v;
  for (int i = 0; i < 16; ++i) {
    const uint64_t r = next_random();
    v.f[i] = r % 8 == 0 ? special[(r >> 8) % 6] : r % 8 == 1 ? 1.0f : (float)((double)(int64_t)next_random() / 4e17);
  }
  return v;
}

static void equal(const char* what, const void* got, const void* want, size_t n) {
  ++checks;
  if (memcmp(got, want, n) == 0) return;
  ++failures;
  printf("wrong: %s\n", what);
}

static void equal_mask(const char* what, uint64_t got, uint64_t want) { equal(what, &got, &want, sizeof got); }

/* `lane` of the result is `want`, for each of n lanes i. The text holds the instruction with its operands, the last
 * source %2. */
#define FILL(lane, n, want) \
  for (int i = 0; i < (n); ++i) w.lane[i] = (want)
#define BINARY(text, lane, n, want)                                        \
  do {                                                                     \
    Vector r, w;                                                           \
    FILL(lane, n, want);                                                   \
    __asm__ volatile(text " %2, %1, %0" : "=v"(r.z) : "v"(a.z), "v"(b.z)); \
    equal(text, &r, &w, 64);                                               \
    __asm__ volatile(text " %2, %1, %0" : "=v"(r.z) : "v"(a.z), "m"(b.z)); \
    equal(text " from memory", &r, &w, 64);                                \
  } while (0)
#define UNARY(text, lane, n, want)                           \
  do {                                                       \
    Vector r, w;                                             \
    FILL(lane, n, want);                                     \
    __asm__ volatile(text " %1, %0" : "=v"(r.z) : "v"(a.z)); \
    equal(text, &r, &w, 64);                                 \
  } while (0)
/* r is read and written. */
#define TERNARY(text, lane, n, want)                                       \
  do {                                                                     \
    Vector r = c, w;                                                       \
    FILL(lane, n, want);                                                   \
    __asm__ volatile(text " %2, %1, %0" : "+v"(r.z) : "v"(a.z), "v"(b.z)); \
    equal(text, &r, &w, 64);                                               \
    r = c;                                                                 \
    __asm__ volatile(text " %2, %1, %0" : "+v"(r.z) : "v"(a.z), "m"(b.z)); \
    equal(text " from memory", &r, &w, 64);                                \
  } while (0)
#define MASKED(text, bits, lane, n, want)                                                       \
  do {                                                                                          \
    Vector r = c, w;                                                                            \
    FILL(lane, n, want);                                                                        \
    __asm__ volatile(text " %2, %1, %0%{%3%}" : "+v"(r.z) : "v"(a.z), "v"(b.z), "Yk"((bits)k)); \
    equal(text " masked", &r, &w, 64);                                                          \
  } while (0)
#define BIT(i) (k >> (i)&1)

static int saturate_u8(int v) { return v > 255 ? 255 : v; }
static uint8_t limit_u8(int v) { return (uint8_t)(v > 255 ? 255 : v < 0 ? 0 : v); }
static uint16_t limit_i16(int v) { return (uint16_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : v); }

static void check_moves(Vector a, Vector b, Vector c, uint64_t k) {
  Vector r, w;
  __asm__ volatile("vmovups %1, %0" : "=v"(r.z) : "m"(a.z));
  equal("vmovups load", &r, &a, 64);
  __asm__ volatile("vmovups %1, %0" : "=v"(r.z) : "v"(b.z));
  equal("vmovups", &r, &b, 64);
  __asm__ volatile("vmovups %1, %0" : "=m"(r.z) : "v"(a.z));
  equal("vmovups store", &r, &a, 64);
  __asm__ volatile("vmovntps %1, %0; sfence" : "=m"(r.z) : "v"(b.z));
  equal("vmovntps", &r, &b, 64);
  memset(&w, 0, sizeof w);
  memcpy(&w, &a, 16);
  __asm__ volatile("vmovups %1, %%xmm5; vmovups %%zmm5, %0" : "=m"(r.z) : "m"(a.x) : "xmm5");
  equal("vmovups load of 128 bits", &r, &w, 64);

  r = c;
  FILL(d, 16, BIT(i) ? a.d[i] : c.d[i]);
  __asm__ volatile("vmovups %1, %0%{%2%}" : "+m"(r.z) : "v"(a.z), "Yk"((__mmask16)k));
  equal("vmovups store masked", &r, &w, 64);

  FILL(d, 16, a.d[0]);
  __asm__ volatile("vbroadcastss %1, %0" : "=v"(r.z) : "m"(a.d[0]));
  equal("vbroadcastss", &r, &w, 64);
  FILL(d, 16, a.d[i % 4]);
  __asm__ volatile("vbroadcasti32x4 %1, %0" : "=v"(r.z) : "m"(a.x));
  equal("vbroadcasti32x4", &r, &w, 64);
  FILL(d, 16, i / 4 == 2 ? b.d[i % 4] : a.d[i]);
  __asm__ volatile("vinsertf32x4 $2, %2, %1, %0" : "=v"(r.z) : "v"(a.z), "m"(b.x));
  equal("vinsertf32x4", &r, &w, 64);
  memset(&w, 0, 64);
  for (int i = 0; i < 4; ++i) w.d[i] = a.d[12 + i];
  __asm__ volatile("vextractf32x4 $3, %1, %%xmm5; vmovups %%zmm5, %0" : "=m"(r.z) : "v"(a.z) : "xmm5");
  equal("vextractf32x4", &r, &w, 64);

  memcpy(&w, &a, 32);
  memset(w.b + 16, 0, 48);
  __asm__ volatile("vmovups %1, %%zmm5; vzeroupper; vmovups %%zmm5, %0" : "=m"(r.z) : "v"(a.z) : "xmm5");
  equal("vzeroupper", &r, &w, 64);
}

/* Small elements in memory, wider lanes. */
static void check_widening(Vector b) {
  Vector r, w;
#define WIDEN(text, lane, want)                          \
  FILL(lane, 16, want);                                  \
  __asm__ volatile(text " %1, %0" : "=v"(r.z) : "m"(b)); \
  equal(text, &r, &w, 64)
  WIDEN("vpmovsxbd", sd, b.sb[i]);
  WIDEN("vpmovzxbd", d, b.b[i]);
  WIDEN("vpmovsxwd", sd, (int16_t)b.w[i]);
  WIDEN("vpmovzxwd", d, b.w[i]);
  for (int i = 0; i < 16; ++i) b.w[i] = (uint16_t)(i % 4 == 0 ? b.w[i] & 0x83ff : b.w[i] & 0xbfff); /* no NaN */
#define HALF(bits) \
  (float)ldexp((bits)&0x7c00 ? 1024 + ((bits)&0x3ff) : (bits)&0x3ff, ((bits)&0x7c00 ? (bits) >> 10 & 31 : 1) - 25)
  WIDEN("vcvtph2ps", f, b.w[i] & 0x8000 ? -HALF(b.w[i]) : HALF(b.w[i]));
}

static void check_integers(Vector a, Vector b) {
  BINARY("vpaddb", b, 64, (uint8_t)(a.b[i] + b.b[i]));
  BINARY("vpaddusb", b, 64, (uint8_t)saturate_u8(a.b[i] + b.b[i]));
  BINARY("vpsubb", b, 64, (uint8_t)(a.b[i] - b.b[i]));
  BINARY("vpmaddubsw", w, 32, limit_i16(a.b[2 * i] * b.sb[2 * i] + a.b[2 * i + 1] * b.sb[2 * i + 1]));
  BINARY("vpmaddwd", d, 16, (uint32_t)(a.sw[2 * i] * b.sw[2 * i]) + (uint32_t)(a.sw[2 * i + 1] * b.sw[2 * i + 1]));
  BINARY("vpaddw", w, 32, (uint16_t)(a.w[i] + b.w[i]));
  BINARY("vpsubw", w, 32, (uint16_t)(a.w[i] - b.w[i]));
  BINARY("vpaddd", d, 16, a.d[i] + b.d[i]);
  BINARY("vpsubd", d, 16, a.d[i] - b.d[i]);
  BINARY("vpandd", d, 16, a.d[i] & b.d[i]);
  BINARY("vpxord", d, 16, a.d[i] ^ b.d[i]);
  UNARY("vpsllw $0,", w, 32, a.w[i]);
  UNARY("vpsllw $9,", w, 32, (uint16_t)(a.w[i] << 9));
  UNARY("vpsrlw $15,", w, 32, a.w[i] >> 15);
  UNARY("vpsrlw $8,", w, 32, a.w[i] >> 8);
  UNARY("vpslld $31,", d, 16, a.d[i] << 31);
  UNARY("vpslld $8,", d, 16, a.d[i] << 8);
  UNARY("vpsrld $1,", d, 16, a.d[i] >> 1);
  UNARY("vpsrld $24,", d, 16, a.d[i] >> 24);
}

static void check_permutations(Vector a, Vector b, Vector c) {
  BINARY("vpshufb", b, 64, b.b[i] & 0x80 ? 0 : a.b[(i & 48) + (b.b[i] & 15)]);
  BINARY("vpermb", b, 64, b.b[a.b[i] & 63]);
  BINARY("vpermps", d, 16, b.d[a.d[i] & 15]);
  BINARY("vpermilps", d, 16, a.d[(i & 12) + (b.d[i] & 3)]);
  TERNARY("vpermt2ps", d, 16, (a.d[i] & 16 ? b : c).d[a.d[i] & 15]);
  TERNARY("vpermi2ps", d, 16, (c.d[i] & 16 ? b : a).d[c.d[i] & 15]);
  TERNARY("vpermt2b", b, 64, (a.b[i] & 64 ? b : c).b[a.b[i] & 63]);
  TERNARY("vpermi2b", b, 64, (c.b[i] & 64 ? b : a).b[c.b[i] & 63]);
  BINARY("vunpcklps", d, 16, (i & 1 ? b : a).d[(i & 12) + (i & 3) / 2]);
  BINARY("vunpckhps", d, 16, (i & 1 ? b : a).d[(i & 12) + 2 + (i & 3) / 2]);
  BINARY("vunpcklpd", q, 8, (i & 1 ? b : a).q[i & ~1]);
  BINARY("vunpckhpd", q, 8, (i & 1 ? b : a).q[i | 1]);
}

/* Half of the values fit. */
static void check_packing(Vector a, Vector b) {
  for (int i = 0; i < 16; i += 2) a.sd[i] /= 1 << 16, b.sd[i + 1] /= 1 << 16;
  BINARY("vpackssdw", w, 32, limit_i16((i % 8 < 4 ? a : b).sd[i / 8 * 4 + i % 4]));
  for (int i = 0; i < 32; i += 2) a.sw[i] /= 1 << 7, b.sw[i + 1] /= 1 << 7;
  BINARY("vpackuswb", b, 64, limit_u8((i % 16 < 8 ? a : b).sw[i / 16 * 8 + i % 8]));
}

static void check_dot_products(Vector a, Vector b, Vector c) {
#define PRODUCT(j) (uint32_t)(a.b[4 * i + (j)] * b.sb[4 * i + (j)])
  TERNARY("vpdpbusd", d, 16, c.d[i] + PRODUCT(0) + PRODUCT(1) + PRODUCT(2) + PRODUCT(3));
}

static void check_masks(Vector a, uint64_t k) {
  Vector r, w;
  __mmask16 m;
  __mmask32 shifted;
  __mmask64 m64;
  uint64_t want = 0;
  __asm__ volatile("kxnorw %0, %0, %0" : "=Yk"(m64));
  equal_mask("kxnorw", m64, 0xffff);
#define SHIFT(n)                                                                        \
  do {                                                                                  \
    __asm__ volatile("kshiftrd $" #n ", %1, %0" : "=Yk"(shifted) : "Yk"((__mmask32)k)); \
    equal_mask("kshiftrd " #n, shifted, (uint32_t)k >> (n));                            \
    __asm__ volatile("kshiftld $" #n ", %1, %0" : "=Yk"(shifted) : "Yk"((__mmask32)k)); \
    equal_mask("kshiftld " #n, shifted, (uint32_t)k << (n));                            \
  } while (0)
  SHIFT(1);
  SHIFT(8);
  SHIFT(14);
  SHIFT(15);
  SHIFT(31);
  for (int i = 0; i < 16; ++i) want |= (uint64_t)(a.d[i] >> 31) << i;
  __asm__ volatile("vpmovd2m %1, %0" : "=Yk"(m) : "v"(a.z));
  equal_mask("vpmovd2m", m, want);
  want = 0;
  for (int i = 0; i < 64; ++i) want |= (uint64_t)(a.b[i] >> 7) << i;
  __asm__ volatile("vpmovb2m %1, %0" : "=Yk"(m64) : "v"(a.z));
  equal_mask("vpmovb2m", m64, want);
  FILL(b, 64, BIT(i) ? 0xff : 0);
  __asm__ volatile("vpmovm2b %1, %0" : "=v"(r.z) : "Yk"((__mmask64)k));
  equal("vpmovm2b", &r, &w, 64);
  FILL(sd, 16, BIT(i) ? -1 : 0);
  __asm__ volatile("vpmovm2d %1, %0" : "=v"(r.z) : "Yk"((__mmask16)k));
  equal("vpmovm2d", &r, &w, 64);
}

static void check_byte_compares(Vector a, Vector b) {
  __mmask64 m;
  uint64_t want = 0;
  for (int i = 0; i < 64; ++i) want |= (uint64_t)(a.sb[i] > b.sb[i]) << i;
  __asm__ volatile("vpcmpgtb %2, %1, %0" : "=Yk"(m) : "v"(a.z), "v"(b.z));
  equal_mask("vpcmpgtb", m, want);
  __asm__ volatile("vpcmpgtb %2, %1, %0" : "=Yk"(m) : "v"(a.z), "m"(b.z));
  equal_mask("vpcmpgtb from memory", m, want);
}

static void check_masked(Vector a, Vector b, Vector c, uint64_t k) {
  MASKED("vpaddd", __mmask16, d, 16, BIT(i) ? a.d[i] + b.d[i] : c.d[i]);
  MASKED("vblendmps", __mmask16, d, 16, BIT(i) ? b.d[i] : a.d[i]);
  MASKED("vpblendmb", __mmask64, b, 64, BIT(i) ? b.b[i] : a.b[i]);
}

static void check_floats(Vector a, Vector b) {
#define LESS_QUIET "$0x11,"
  __mmask16 m;
  uint64_t want = 0;
  for (int i = 0; i < 16; ++i) want |= (uint64_t)(a.f[i] < b.f[i]) << i;
  __asm__ volatile("vcmpps " LESS_QUIET " %2, %1, %0" : "=Yk"(m) : "v"(a.z), "v"(b.z));
  equal_mask("vcmpps", m, want);
  __asm__ volatile("vcmpps " LESS_QUIET " %2, %1, %0" : "=Yk"(m) : "v"(a.z), "m"(b.z));
  equal_mask("vcmpps from memory", m, want);
}

/* Without NaN: which one arithmetic returns is not part of the contract. */
static void check_arithmetic(Vector a, Vector b) {
  for (int i = 0; i < 16; ++i) {
    if (isinf(a.f[i])) a.f[i] = 2.5f;
    if (isinf(b.f[i])) b.f[i] = -7.25f;
  }
  BINARY("vmulps", f, 16, a.f[i] * b.f[i]);
  BINARY("vaddps", f, 16, a.f[i] + b.f[i]);
  BINARY("vmaxps", f, 16, a.f[i] > b.f[i] ? a.f[i] : b.f[i]);
  BINARY("vminps", f, 16, a.f[i] < b.f[i] ? a.f[i] : b.f[i]);
  UNARY("vcvtps2dq", d, 16, fabsf(a.f[i]) < 0x1p31f ? (uint32_t)(int32_t)nearbyintf(a.f[i]) : 0x80000000u);
}

int main(void) {
  for (int round = 0; round < 100; ++round) {
    const Vector a = random_bytes(), b = random_bytes(), c = random_bytes();
    const uint64_t k = next_random();
    check_moves(a, b, c, k);
    check_integers(a, b);
    check_permutations(a, b, c);
    check_dot_products(a, b, c);
    check_packing(a, b);
    check_masks(a, k);
    check_byte_compares(a, b);
    check_widening(b);
    check_masked(a, b, c, k);
    UNARY("vcvtdq2ps", f, 16, (float)a.sd[i]);
    check_floats(random_floats(), random_floats());
    check_floats(a, b); /* bytes that are NaN now and then */
    check_arithmetic(random_floats(), random_floats());
  }
  printf("%d checks, %d failures\n", checks, failures);
  return failures != 0;
}
