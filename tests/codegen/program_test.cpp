// Programs themselves: printing, verifying, and what single operations mean.
#include <gtest/gtest.h>

#include <cstring>

#include "codegen/model/error.h"
#include "codegen/program/interpret.h"
#include "codegen/program/program_builder.h"

namespace mithral::codegen {
namespace {

const Target kTarget = target_for(Isa::kAvx2);

int64_t address(const void* p) { return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p)); }

TEST(Program, PrintsOneOperationALine) {
  ProgramBuilder b("sum", kTarget, {"from", "count", "to"});
  const Preg from = b.arg(0);
  const ConstantId ones = b.constant("ones", 4, {1, 0, 0, 0});
  const Vreg sum = b.zero();
  b.note("add them up");
  b.repeat(b.arg(1), [&] {
    b.add_u32_to(sum, sum, b.load(at(from)));
    b.advance(from, 32);
  });
  const Preg to = b.arg(2);
  b.store(at(to, -32), b.add_u32(sum, b.broadcast_32(at(ones))));
  EXPECT_EQ(print(b.finish()),
            "program sum for avx2(from, count, to): 13 operations, 1 constants\n"
            "  const 0 = ones, 4 bytes: 01000000 \n"
            "  p0 = arg 0  ; from\n"
            "  v0 = zero\n"
            "  ; add them up\n"
            "  p1 = arg 1  ; count\n"
            "  p2 = add_imm p1, 0\n"
            "  loop_begin p2\n"
            "    v1 = load [p0]\n"
            "    v0 = add_u32 v0, v1\n"
            "    p0 = add_imm p0, 32\n"
            "  loop_end p2\n"
            "  p3 = arg 2  ; to\n"
            "  v2 = broadcast_32 [const 0]\n"
            "  v3 = add_u32 v0, v2\n"
            "  store [p3 - 32], v3\n");
}

TEST(Program, LoopsRunExactlyAsOftenAsTheirCounterSays) {
  ProgramBuilder b("count", kTarget, {"outer", "inner", "to"});
  const Preg total = b.set(0);
  const Preg outer = b.arg(0), inner = b.arg(1), to = b.arg(2);
  b.repeat(outer, [&] { b.repeat(inner, [&] { b.advance(total, 1); }); });
  const Vreg zero = b.zero();
  b.store_lanes(at(to, total, 0), zero, 1);  // marks byte `total`
  const Interpreter interpreter(b.finish());
  for (const int64_t n_outer : {0, 1, 3}) {
    for (const int64_t n_inner : {0, 1, 5}) {
      std::vector<uint8_t> marks(64, 0xff);
      const int64_t args[] = {n_outer, n_inner, address(marks.data())};
      interpreter.run(args);
      EXPECT_EQ(std::find(marks.begin(), marks.end(), 0) - marks.begin(), n_outer * n_inner);
    }
  }
}

TEST(Program, EqualConstantsAreKeptOnce) {
  ProgramBuilder b("constants", kTarget, {});
  EXPECT_EQ(b.constant("x", 4, {1, 2, 3, 4}), b.constant("y", 4, {1, 2, 3, 4}));
  EXPECT_NE(b.constant("x", 4, {1, 2, 3, 4}), b.constant("z", 4, {1, 2, 3, 5}));
}

// Builds a program with `write`, expects verification to fail with `what`.
template <typename Write>
void expect_invalid(const char* what, Write write, const Target& target = kTarget) {
  ProgramBuilder b("bad", target, {"p"});
  write(b);
  try {
    b.finish();
    FAIL() << "accepted a program that " << what;
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
  }
}

TEST(Verify, RefusesBrokenPrograms) {
  expect_invalid("reads an unwritten register", [](auto& b) { b.add_u32(Vreg{7}, Vreg{8}); });
  expect_invalid("reads an unwritten register", [](auto& b) { b.load(at(Preg{3})); });
  expect_invalid("loop_end without loop_begin", [](auto& b) { b.loop_end(b.arg(0)); });
  expect_invalid("loop_begin without loop_end", [](auto& b) { b.loop_begin(b.arg(0)); });
  expect_invalid("different counters", [](auto& b) {
    b.loop_begin(b.arg(0));
    b.loop_end(b.arg(0));
  });
  expect_invalid("writes the counter of a loop", [](auto& b) {
    const Preg counter = b.arg(0);
    b.loop_begin(counter);
    b.advance(counter, 1);
    b.loop_end(counter);
  });
  expect_invalid("reads an unwritten register", [](auto& b) {
    Vreg inside{};
    b.repeat(b.arg(0), [&] { inside = b.zero(); });
    b.store(at(b.arg(0)), inside);  // the loop may have run zero times
  });
  expect_invalid("counts with the counter of a loop around it", [](auto& b) {
    const Preg counter = b.arg(0);
    b.loop_begin(counter);
    b.loop_begin(counter);
    b.loop_end(counter);
    b.loop_end(counter);
  });
  expect_invalid("writes to a constant", [](auto& b) {
    const ConstantId constant = b.constant("c", 4, std::vector<uint8_t>(32));
    b.store(at(constant), b.zero());
  });
  expect_invalid("beyond 32 bits", [](auto& b) { b.add_imm(b.arg(0), int64_t{1} << 32); });
  expect_invalid("without a base", [](auto& b) { b.load(Mem{}); });
  expect_invalid("unknown constant", [](auto& b) { b.load(at(ConstantId{2})); });
  expect_invalid("reads outside its constant",
                 [](auto& b) { b.load(at(b.constant("c", 4, std::vector<uint8_t>(31)))); });
  expect_invalid("reads outside its constant", [](auto& b) {
    b.broadcast_32(at(b.constant("c", 4, {1, 2, 3, 4}), 1));
  });
  expect_invalid("immediate out of range", [](auto& b) { b.shl_u32(b.zero(), 32); });
  expect_invalid("immediate out of range", [](auto& b) { b.shr_u16(b.zero(), 16); });
  expect_invalid("immediate out of range", [](auto& b) { b.blend_lane(b.zero(), b.zero(), 8); });
  expect_invalid("immediate out of range", [](auto& b) { b.insert_128(b.zero(), at(b.arg(0)), 2); });
  expect_invalid("immediate out of range", [](auto& b) { b.store_lanes(at(b.arg(0)), b.zero(), 5); });
  expect_invalid("immediate out of range", [](auto& b) { b.arg(1); });
  Target short_vectors = kTarget;
  short_vectors.features = kTarget.features.with({Feature::kByteTables});
  expect_invalid(
      "looks up in vectors of 64 bytes", [](auto& b) { b.lookup_64(b.zero(), b.zero()); }, short_vectors);
  expect_invalid("needs what the target lacks", [](auto& b) { b.lookup_64(b.zero(), b.zero()); });
}

// Runs one operation of two vectors and a memory operand, all of bytes.
using Bytes = std::vector<uint8_t>;
template <typename Operation>
Bytes run_operation(const Bytes& a, const Bytes& b_bytes, Operation operation) {
  ProgramBuilder b("operation", kTarget, {"a", "b", "to"});
  const Vreg x = b.load(at(b.arg(0)));
  const Preg memory = b.arg(1);
  const Vreg y = b.load(at(memory));
  const Preg to = b.arg(2);
  b.store(at(to), operation(b, x, y, at(memory)));
  Bytes result(32);
  const int64_t args[] = {address(a.data()), address(b_bytes.data()), address(result.data())};
  Interpreter(b.finish()).run(args);
  return result;
}

template <typename T>
Bytes bytes(std::vector<T> values) {
  values.resize(32 / sizeof(T));
  Bytes result(32);
  std::memcpy(result.data(), values.data(), 32);
  return result;
}

TEST(Operation, Arithmetic) {
  const Bytes a = bytes<uint8_t>({250, 1, 255}), b = bytes<uint8_t>({10, 2, 1});
  EXPECT_EQ(run_operation(a, b, [](auto& p, Vreg x, Vreg y, Mem) { return p.add_u8(x, y); }),
            bytes<uint8_t>({4, 3, 0}));
  EXPECT_EQ(run_operation(a, b, [](auto& p, Vreg x, Vreg, Mem m) { return p.add_u8_m(x, m); }),
            bytes<uint8_t>({4, 3, 0}));
  EXPECT_EQ(run_operation(a, b, [](auto& p, Vreg x, Vreg, Mem m) { return p.add_sat_u8_m(x, m); }),
            bytes<uint8_t>({255, 3, 255}));
  const Bytes h = bytes<uint16_t>({65535, 0x1234}), k = bytes<uint16_t>({2, 0x0101});
  EXPECT_EQ(run_operation(h, k, [](auto& p, Vreg x, Vreg y, Mem) { return p.add_u16(x, y); }),
            bytes<uint16_t>({1, 0x1335}));
  EXPECT_EQ(run_operation(k, h, [](auto& p, Vreg x, Vreg y, Mem) { return p.sub_u16(x, y); }),
            bytes<uint16_t>({3, 0xeecd}));
  EXPECT_EQ(run_operation(h, k, [](auto& p, Vreg x, Vreg, Mem) { return p.shr_u16(x, 8); }),
            bytes<uint16_t>({0xff, 0x12}));
  EXPECT_EQ(run_operation(h, k, [](auto& p, Vreg x, Vreg, Mem) { return p.shl_u16(x, 8); }),
            bytes<uint16_t>({0xff00, 0x3400}));
  const Bytes w = bytes<uint32_t>({0xffffffff, 5}), v = bytes<uint32_t>({2, 7});
  EXPECT_EQ(run_operation(w, v, [](auto& p, Vreg x, Vreg y, Mem) { return p.sub_u32(x, y); }),
            bytes<uint32_t>({0xfffffffd, 0xfffffffe}));
  EXPECT_EQ(run_operation(w, v, [](auto& p, Vreg x, Vreg y, Mem) { return p.and_bits(x, y); }),
            bytes<uint32_t>({2, 5}));
}

TEST(Operation, ComparisonIsFalseForNaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const Bytes a = bytes<float>({1, 1, 2, nan, 1, -infinity, 0.0f, 1});
  const Bytes b = bytes<float>({2, 1, 1, 1, nan, infinity, -0.0f, infinity});
  EXPECT_EQ(run_operation(a, b, [](auto& p, Vreg x, Vreg, Mem m) { return p.less_f32(x, m); }),
            bytes<uint32_t>({~0u, 0, 0, 0, 0, ~0u, 0, ~0u}));
}

TEST(Operation, Permutations) {
  const Bytes table = bytes<uint32_t>({10, 11, 12, 13, 20, 21, 22, 23});
  const Bytes index = bytes<uint32_t>({0, 3, 5, 2, 1, 7, 0xffffffff, 4});
  EXPECT_EQ(run_operation(table, index, [](auto& p, Vreg x, Vreg y, Mem) { return p.permute_4(x, y); }),
            bytes<uint32_t>({10, 13, 11, 12, 21, 23, 23, 20}));
  EXPECT_EQ(run_operation(table, index, [](auto& p, Vreg x, Vreg y, Mem) { return p.permute_all(x, y); }),
            bytes<uint32_t>({10, 13, 21, 12, 11, 23, 23, 20}));
  EXPECT_EQ(run_operation(index, table, [](auto& p, Vreg x, Vreg, Mem m) { return p.permute_all_m(x, m); }),
            bytes<uint32_t>({10, 13, 21, 12, 11, 23, 23, 20}));
  EXPECT_EQ(run_operation(table, index, [](auto& p, Vreg x, Vreg y, Mem) { return p.blend_lane(x, y, 5); }),
            bytes<uint32_t>({10, 11, 12, 13, 20, 7, 22, 23}));
  EXPECT_EQ(run_operation(table, index, [](auto& p, Vreg x, Vreg y, Mem) { return p.unpack_lo_32(x, y); }),
            bytes<uint32_t>({10, 0, 11, 3, 20, 1, 21, 7}));
  EXPECT_EQ(run_operation(table, index, [](auto& p, Vreg x, Vreg y, Mem) { return p.unpack_hi_64(x, y); }),
            bytes<uint32_t>({12, 13, 5, 2, 22, 23, 0xffffffff, 4}));
  EXPECT_EQ(run_operation(table, index, [](auto& p, Vreg x, Vreg y, Mem) { return p.blend_sign(x, y, y); }),
            bytes<uint32_t>({10, 11, 12, 13, 20, 21, 0xffffffff, 23}));
  EXPECT_EQ(
      run_operation(table, index, [](auto& p, Vreg x, Vreg y, Mem) { return p.blend_sign(y, x, p.shl_u32(y, 30)); }),
      bytes<uint32_t>({0, 11, 5, 13, 1, 21, 22, 4}));
  EXPECT_EQ(run_operation(table, index, [](auto& p, Vreg x, Vreg, Mem m) { return p.insert_128(x, m, 1); }),
            bytes<uint32_t>({10, 11, 12, 13, 0, 3, 5, 2}));
}

TEST(Operation, LookupStaysInItsSegment) {
  Bytes table(32), indices(32);
  for (int i = 0; i < 32; ++i) {
    table[i] = static_cast<uint8_t>(100 + i);
    indices[i] = static_cast<uint8_t>(31 * i);
  }
  const Bytes result = run_operation(table, indices, [](auto& p, Vreg x, Vreg, Mem m) { return p.lookup_16(x, m); });
  for (int i = 0; i < 32; ++i) {
    const int entry = 100 + i / 16 * 16 + indices[i] % 16;
    EXPECT_EQ(result[i], indices[i] < 128 ? entry : 0) << i;
  }
  EXPECT_EQ(run_operation(table, indices, [](auto& p, Vreg x, Vreg y, Mem) { return p.lookup_16_by(x, y); }), result);
}

}  // namespace
}  // namespace mithral::codegen
