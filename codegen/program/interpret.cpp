#include "codegen/program/interpret.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "codegen/model/error.h"
#include "codegen/model/input_view.h"

namespace mithral::codegen {
namespace {

constexpr int kMaxVectorBytes = 64;

// Where both are NaN x86 keeps the first; C++ leaves it open.
float product(float x, float y) { return std::isnan(x) ? x + x : x * y; }
float sum(float x, float y) { return std::isnan(x) ? x + x : x + y; }

struct Vector {
  alignas(64) uint8_t bytes[kMaxVectorBytes];
};

// Registers, and one method per operation, named like it. Lanes are computed by tiny functions on scalars, segment by
// segment where x86 does so, which makes the result the same for every vector length.
class Machine {
 public:
  Machine(const Program& program, const int64_t* args)
      : program_(program),
        args_(args),
        bytes_(program.target.vector_bytes),
        vectors_(program.n_vregs),
        pointers_(program.n_pregs) {}

  void zero(const Op& op) { std::memset(d(op), 0, bytes_); }
  void load(const Op& op) { std::memcpy(d(op), memory(op), bytes_); }
  void load_i8_f32(const Op& op) { widen<int8_t>(op); }
  void load_u8_f32(const Op& op) { widen<uint8_t>(op); }
  void load_i16_f32(const Op& op) { widen<int16_t>(op); }
  void load_bf16_f32(const Op& op) { widen<Bfloat16>(op); }
  void load_f16_f32(const Op& op) { widen<Float16>(op); }
  void load_128(const Op& op) {
    std::memset(d(op), 0, bytes_);
    std::memcpy(d(op), memory(op), kSegmentBytes);
  }
  void insert_128(const Op& op) {
    std::memmove(d(op), a(op), bytes_);
    std::memcpy(d(op) + op.imm * kSegmentBytes, memory(op), kSegmentBytes);
  }
  void broadcast_32(const Op& op) { fill(d(op), memory(op), 4); }
  void broadcast_128(const Op& op) { fill(d(op), memory(op), kSegmentBytes); }
  void store(const Op& op) { std::memcpy(memory(op), a(op), bytes_); }
  void store_segment(const Op& op) { std::memcpy(memory(op), a(op) + op.imm * kSegmentBytes, kSegmentBytes); }
  void stream(const Op& op) {
    ensure(reinterpret_cast<uintptr_t>(memory(op)) % bytes_ == 0, "a streamed vector is aligned");
    store(op);
  }
  void store_lanes(const Op& op) { std::memcpy(memory(op), a(op), 4 * op.imm); }
  void store_first(const Op& op) { store_lanes(op); }

  void less_f32(const Op& op) {
    lanes<float, uint32_t>(op, a(op), memory(op), [](float x, float y) { return x < y ? ~uint32_t{0} : 0; });
  }
  void pick_less(const Op& op) {
    for (int i = 0; i < bytes_; i += 4) {
      const bool less = read<float>(b(op) + i) < read<float>(memory(op) + i);
      std::memmove(d(op) + i, (less ? c(op) : a(op)) + i, 4);
    }
  }
  void max_f32_m(const Op& op) {
    lanes<float>(op, a(op), memory(op), [](float x, float y) { return x > y ? x : y; });
  }
  void min_f32(const Op& op) {
    lanes<float>(op, a(op), b(op), [](float x, float y) { return x < y ? x : y; });
  }
  void less_f32_r(const Op& op) {
    lanes<float, uint32_t>(op, a(op), b(op), [](float x, float y) { return x < y ? ~uint32_t{0} : 0; });
  }
  void greater_i8(const Op& op) { compare_bytes(op, b(op)); }
  void greater_i8_m(const Op& op) { compare_bytes(op, memory(op)); }
  void descend(const Op& op) {
    for (int i = 0; i < bytes_; i += 4) {
      const uint32_t step = read<float>(b(op) + i) < read<float>(memory(op) + i) ? read<uint32_t>(c(op) + i) : 0;
      const uint32_t result = 2 * read<uint32_t>(a(op) + i) + step;
      std::memcpy(d(op) + i, &result, sizeof result);
    }
  }
  void permute_4(const Op& op) {
    gather_lanes(op, a(op), b(op), [](int lane, uint32_t index) { return (lane & ~3) + static_cast<int>(index & 3); });
  }
  void permute_all(const Op& op) { permute(op, a(op), b(op), bytes_ / 4); }
  void permute_all_m(const Op& op) { permute(op, memory(op), a(op), bytes_ / 4); }
  void permute_two_m(const Op& op) {
    uint8_t both[2 * kMaxVectorBytes];
    std::memcpy(both, a(op), bytes_);
    std::memcpy(both + bytes_, memory(op), bytes_);
    permute(op, both, b(op), bytes_ / 2);
  }
  void lookup_16(const Op& op) { look_up(op, memory(op)); }
  void lookup_16_by(const Op& op) { look_up(op, b(op)); }
  void lookup_64(const Op& op) {
    Vector result;
    for (int i = 0; i < bytes_; ++i) result.bytes[i] = a(op)[b(op)[i] & 63];
    std::memcpy(d(op), result.bytes, bytes_);
  }
  void lookup_128(const Op& op) {
    Vector result;
    for (int i = 0; i < bytes_; ++i) {
      const int index = c(op)[i] & 127;
      result.bytes[i] = index < 64 ? a(op)[index] : b(op)[index - 64];
    }
    std::memcpy(d(op), result.bytes, bytes_);
  }
  void segment(const Op& op) {
    Vector result{};
    std::memcpy(result.bytes, a(op) + op.imm * kSegmentBytes, kSegmentBytes);
    std::memcpy(d(op), result.bytes, bytes_);
  }
  void blend_lane(const Op& op) {
    Vector result;
    std::memcpy(result.bytes, a(op), bytes_);
    std::memcpy(result.bytes + 4 * op.imm, b(op) + 4 * op.imm, 4);
    std::memcpy(d(op), result.bytes, bytes_);
  }
  void blend_sign(const Op& op) {
    Vector result;
    for (int i = 0; i < bytes_; ++i) result.bytes[i] = c(op)[i | 3] & 0x80 ? b(op)[i] : a(op)[i];  // byte 3: bit 31
    std::memcpy(d(op), result.bytes, bytes_);
  }
  void blend_sign_u8(const Op& op) {
    for (int i = 0; i < bytes_; ++i) d(op)[i] = c(op)[i] & 0x80 ? b(op)[i] : a(op)[i];
  }
  void blend_words(const Op& op) {
    lanes<uint32_t>(op, a(op), b(op), [](auto x, auto y) { return (x & 0xffffu) | (y & 0xffff0000u); });
  }
  void unpack_lo_32(const Op& op) { unpack(op, 4, 0); }
  void unpack_hi_32(const Op& op) { unpack(op, 4, 8); }
  void unpack_lo_64(const Op& op) { unpack(op, 8, 0); }
  void unpack_hi_64(const Op& op) { unpack(op, 8, 8); }
  void pack_i32_i16(const Op& op) { pack<int32_t, int16_t>(op); }
  void pack_i16_u8(const Op& op) { pack<int16_t, uint8_t>(op); }

  void add_u8(const Op& op) {
    lanes<uint8_t>(op, a(op), b(op), [](auto x, auto y) { return static_cast<uint8_t>(x + y); });
  }
  void add_u8_m(const Op& op) {
    lanes<uint8_t>(op, a(op), memory(op), [](auto x, auto y) { return static_cast<uint8_t>(x + y); });
  }
  void add_sat_u8_m(const Op& op) {
    lanes<uint8_t>(op, a(op), memory(op), [](auto x, auto y) { return static_cast<uint8_t>(std::min(x + y, 255)); });
  }
  void sub_u8(const Op& op) {
    lanes<uint8_t>(op, a(op), b(op), [](auto x, auto y) { return static_cast<uint8_t>(x - y); });
  }
  void add_u16(const Op& op) {
    lanes<uint16_t>(op, a(op), b(op), [](auto x, auto y) { return static_cast<uint16_t>(x + y); });
  }
  void sub_u16(const Op& op) {
    lanes<uint16_t>(op, a(op), b(op), [](auto x, auto y) { return static_cast<uint16_t>(x - y); });
  }
  void shl_u16(const Op& op) {
    lanes<uint16_t>(op, a(op), a(op), [&op](auto x, auto) { return static_cast<uint16_t>(x << op.imm); });
  }
  void shr_u16(const Op& op) {
    lanes<uint16_t>(op, a(op), a(op), [&op](auto x, auto) { return static_cast<uint16_t>(x >> op.imm); });
  }
  void add_u32(const Op& op) {
    lanes<uint32_t>(op, a(op), b(op), [](auto x, auto y) { return x + y; });
  }
  void sub_u32(const Op& op) {
    lanes<uint32_t>(op, a(op), b(op), [](auto x, auto y) { return x - y; });
  }
  void shl_u32(const Op& op) {
    lanes<uint32_t>(op, a(op), a(op), [&op](auto x, auto) { return x << op.imm; });
  }
  void shr_u32(const Op& op) {
    lanes<uint32_t>(op, a(op), a(op), [&op](auto x, auto) { return x >> op.imm; });
  }
  void dot_u8(const Op& op) {
    for (int i = 0; i < bytes_; i += 4) {
      uint32_t sum = read<uint32_t>(a(op) + i);
      for (int j = i; j < i + 4; ++j) sum += static_cast<uint32_t>(b(op)[j] * static_cast<int8_t>(c(op)[j]));
      std::memcpy(d(op) + i, &sum, sizeof sum);
    }
  }
  void dot_u8_u16(const Op& op) {
    lanes<uint16_t>(op, a(op), b(op), [](uint16_t x, uint16_t y) {
      const int sum = (x & 0xff) * static_cast<int8_t>(y & 0xff) + (x >> 8) * static_cast<int8_t>(y >> 8);
      return static_cast<uint16_t>(std::clamp(sum, -0x8000, 0x7fff));
    });
  }
  void dot_i16(const Op& op) {
    lanes<uint32_t>(op, a(op), b(op), [](uint32_t x, uint32_t y) {
      const auto product = [](uint32_t left, uint32_t right) {
        return static_cast<uint32_t>(int{static_cast<int16_t>(left)} * static_cast<int16_t>(right));
      };
      return product(x & 0xffff, y & 0xffff) + product(x >> 16, y >> 16);
    });
  }
  void and_bits(const Op& op) {
    lanes<uint32_t>(op, a(op), b(op), [](auto x, auto y) { return x & y; });
  }
  void or_bits(const Op& op) {
    lanes<uint32_t>(op, a(op), b(op), [](auto x, auto y) { return x | y; });
  }
  void i32_to_f32(const Op& op) {
    lanes<int32_t, float>(op, a(op), a(op), [](int32_t x, int32_t) { return static_cast<float>(x); });
  }
  void f32_to_i32(const Op& op) {
    lanes<float, int32_t>(op, a(op), a(op), [](float x, float) {
      const float rounded = std::nearbyint(x);
      return std::abs(rounded) < 0x1p31f ? static_cast<int32_t>(rounded) : std::numeric_limits<int32_t>::min();
    });
  }
  void mul_f32(const Op& op) { lanes<float>(op, a(op), b(op), product); }
  void mul_f32_m(const Op& op) { lanes<float>(op, a(op), memory(op), product); }
  void add_f32_m(const Op& op) { lanes<float>(op, a(op), memory(op), sum); }
  void add_f32(const Op& op) { lanes<float>(op, a(op), b(op), sum); }
  void mul_sub_f32(const Op& op) {
    for (int i = 0; i < bytes_; i += 4) {
      const float result = std::fma(read<float>(a(op) + i), read<float>(b(op) + i), -read<float>(c(op) + i));
      std::memcpy(d(op) + i, &result, sizeof result);
    }
  }

  void arg(const Op& op) { pd(op) = args_[op.imm]; }
  void set(const Op& op) { pd(op) = op.imm; }
  void address(const Op& op) { pd(op) = static_cast<int64_t>(reinterpret_cast<uintptr_t>(memory(op))); }
  void load_u8(const Op& op) { pd(op) = *memory(op); }
  void load_i64(const Op& op) { std::memcpy(&pd(op), memory(op), sizeof(int64_t)); }
  void add(const Op& op) { pd(op) = p(op) + pointers_[static_cast<int>(op.q)]; }
  void add_imm(const Op& op) { pd(op) = p(op) + op.imm; }
  void mul_imm(const Op& op) { pd(op) = p(op) * op.imm; }
  void shr_imm(const Op& op) { pd(op) = static_cast<int64_t>(static_cast<uint64_t>(p(op)) >> op.imm); }
  void and_imm(const Op& op) { pd(op) = p(op) & op.imm; }
  void prefetch(const Op&) {}

  bool counter_is_zero(const Op& op) { return p(op) == 0; }
  bool decrement_to_zero(const Op& op) { return --p(op) == 0; }

 private:
  uint8_t* d(const Op& op) { return vectors_[static_cast<int>(op.d)].bytes; }
  uint8_t* a(const Op& op) { return vectors_[static_cast<int>(op.a)].bytes; }
  uint8_t* b(const Op& op) { return vectors_[static_cast<int>(op.b)].bytes; }
  uint8_t* c(const Op& op) { return vectors_[static_cast<int>(op.c)].bytes; }
  int64_t& pd(const Op& op) { return pointers_[static_cast<int>(op.pd)]; }
  int64_t& p(const Op& op) { return pointers_[static_cast<int>(op.p)]; }

  // The address a memory operand names; programs hold host addresses in their pointer registers.
  uint8_t* memory(const Op& op) {
    const Mem& mem = op.mem;
    if (mem.constant != kNoConstant) {
      return const_cast<uint8_t*>(program_.constants[static_cast<int>(mem.constant)].bytes.data()) + mem.disp;
    }
    int64_t address = pointers_[static_cast<int>(mem.base)] + mem.disp;
    if (mem.index != kNoPreg) address += pointers_[static_cast<int>(mem.index)];
    return reinterpret_cast<uint8_t*>(static_cast<uintptr_t>(address));
  }

  template <typename T>
  static T read(const uint8_t* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }

  void fill(uint8_t* to, const uint8_t* from, int size) {
    Vector pattern;
    std::memcpy(pattern.bytes, from, size);
    for (int i = 0; i < bytes_; i += size) std::memcpy(to + i, pattern.bytes, size);
  }

  // Consecutive elements of type T at m, one a lane, as float32.
  template <typename T>
  void widen(const Op& op) {
    const uint8_t* from = memory(op);
    for (int lane = 0; lane < bytes_ / 4; ++lane) {
      const float value = to_float(read<T>(from + lane * sizeof(T)));
      std::memcpy(d(op) + 4 * lane, &value, sizeof value);
    }
  }

  // d[i] = f(x[i], y[i]) over elements of type T; x and y may be unaligned and may be d.
  template <typename T, typename Result = T, typename F>
  void lanes(const Op& op, const uint8_t* x, const uint8_t* y, F f) {
    static_assert(sizeof(T) == sizeof(Result));
    uint8_t* to = d(op);
    for (int i = 0; i < bytes_; i += static_cast<int>(sizeof(T))) {
      T left, right;
      std::memcpy(&left, x + i, sizeof(T));
      std::memcpy(&right, y + i, sizeof(T));
      const Result result = f(left, right);
      std::memcpy(to + i, &result, sizeof(Result));
    }
  }

  void compare_bytes(const Op& op, const uint8_t* right) {
    lanes<int8_t, uint8_t>(op, a(op), right, [](int8_t x, int8_t y) { return static_cast<uint8_t>(x > y ? 0xff : 0); });
  }

  // Byte i of d = the entry, in its segment of a, that byte i of the indices names; 0 where its high bit is set.
  void look_up(const Op& op, const uint8_t* indices) {
    Vector result;
    for (int i = 0; i < bytes_; ++i) {
      const int segment = i / kSegmentBytes * kSegmentBytes;
      result.bytes[i] = indices[i] < 128 ? a(op)[segment + indices[i] % kSegmentBytes] : 0;
    }
    std::memcpy(d(op), result.bytes, bytes_);
  }

  // Lane i of d = the one of `count` lanes that lane i of the indices names.
  void permute(const Op& op, const uint8_t* from, const uint8_t* indices, uint32_t count) {
    gather_lanes(op, from, indices, [count](int, uint32_t index) { return static_cast<int>(index % count); });
  }

  // Lane i of d = the lane of `from` that pick(i, lane i of the indices) names.
  template <typename Pick>
  void gather_lanes(const Op& op, const uint8_t* from, const uint8_t* indices, Pick pick) {
    Vector result;
    for (int lane = 0; lane < bytes_ / 4; ++lane) {
      uint32_t index;
      std::memcpy(&index, indices + 4 * lane, 4);
      std::memcpy(result.bytes + 4 * lane, from + 4 * pick(lane, index), 4);
    }
    std::memcpy(d(op), result.bytes, bytes_);
  }

  // Per segment: the elements of a, then those of b, limited to what a narrower type holds.
  template <typename From, typename To>
  void pack(const Op& op) {
    constexpr int kOfSource = kSegmentBytes / sizeof(From);
    Vector result;
    for (int i = 0; i < bytes_ / static_cast<int>(sizeof(To)); ++i) {
      const int segment = i / (2 * kOfSource), within = i % (2 * kOfSource);
      const uint8_t* source = (within < kOfSource ? a(op) : b(op)) + segment * kSegmentBytes;
      const From value = read<From>(source + within % kOfSource * sizeof(From));
      const To limited =
          static_cast<To>(std::clamp<From>(value, std::numeric_limits<To>::min(), std::numeric_limits<To>::max()));
      std::memcpy(result.bytes + i * sizeof(To), &limited, sizeof limited);
    }
    std::memcpy(d(op), result.bytes, bytes_);
  }

  // Per segment: interleaves the `size`-byte elements of a's and b's half that starts at byte `from`.
  void unpack(const Op& op, int size, int from) {
    Vector result;
    for (int segment = 0; segment < bytes_; segment += kSegmentBytes) {
      for (int i = 0; i < 8; i += size) {
        std::memcpy(result.bytes + segment + 2 * i, a(op) + segment + from + i, size);
        std::memcpy(result.bytes + segment + 2 * i + size, b(op) + segment + from + i, size);
      }
    }
    std::memcpy(d(op), result.bytes, bytes_);
  }

  const Program& program_;
  const int64_t* args_;
  const int bytes_;
  std::vector<Vector> vectors_;
  std::vector<int64_t> pointers_;
};

}  // namespace

Interpreter::Interpreter(Program program) : program_(std::move(program)), loops_(matching_loops(program_)) {
  ensure(program_.target.vector_bytes <= kMaxVectorBytes, "the interpreter's registers hold 64 bytes");
}

void Interpreter::run(const int64_t* args) const {
  Machine machine(program_, args);
  const int n_ops = static_cast<int>(program_.ops.size());
  for (int i = 0; i < n_ops; ++i) {
    const Op& op = program_.ops[i];
    switch (op.code) {
      case Opcode::loop_begin:
        if (machine.counter_is_zero(op)) i = loops_[i];
        break;
      case Opcode::loop_end:
        if (!machine.decrement_to_zero(op)) i = loops_[i];
        break;
#define VECTOR_OP(name, form, needs, meaning) \
  case Opcode::name:                          \
    machine.name(op);                         \
    break;
#define SCALAR_OP(name, form, meaning) VECTOR_OP(name, form, kAny, meaning)
#define LOOP_OP(name, form, meaning)
#include "codegen/program/ops.def"
#undef VECTOR_OP
#undef SCALAR_OP
#undef LOOP_OP
    }
  }
}

}  // namespace mithral::codegen
