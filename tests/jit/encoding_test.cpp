// Emitted code read back by another decoder (tests/support/decoder.h): every instruction is the one that the listing
// shows, belongs to the ISA that was asked for, and the wide ones are really there.
#include <gtest/gtest.h>
#include <xbyak/xbyak.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <random>
#include <set>
#include <utility>

#include "codegen/lower.h"
#include "jit/emit.h"
#include "tests/support/decoder.h"
#include "tests/support/listing.h"
#include "tests/support/operation_program.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace mithral::jit {
namespace {

using namespace codegen;
using testing::DecodedInstruction;

// ---- which instruction belongs where

// The instruction sets, in the decoder's names, that code for a target is made of. Encodings without and with the VEX
// prefix do not mix: on many CPUs going from one to the other is slow.
const std::set<std::string> kEverywhere = {"I86", "I186", "I386", "LONGMODE", "SSE_PREFETCH", "FAT_NOP"};
const std::map<std::string, std::set<std::string>> kIsaSets = {
    {"sse41", {"SSE", "SSE2", "SSE3", "SSSE3", "SSE4"}},
    {"avx2", {"AVX", "AVX2", "FMA", "F16C"}},
    {"avx2_with_vnni", {"AVX", "AVX2", "FMA", "F16C", "AVX_VNNI"}},
    {"avx512", {"AVX", "AVX2", "AVX512F", "AVX512BW", "AVX512DQ"}},
    {"avx512_vbmi", {"AVX", "AVX2", "AVX512F", "AVX512BW", "AVX512DQ", "AVX512_VBMI", "AVX512_VNNI"}},
};

bool belongs_to(const std::string& target, const std::string& isa_set) {
  return kEverywhere.contains(isa_set) || kIsaSets.at(target).contains(isa_set);
}

std::vector<testing::NamedTarget> targets_to_read_back() {
  std::vector<testing::NamedTarget> result;
  for (const testing::NamedTarget& named : testing::isas_and_described_targets()) {
    if (kIsaSets.contains(named.name)) result.push_back(named);
  }
  return result;
}

// What the routines of a model of this depth must contain, so that no narrower code passes for a target's.
struct Expected {
  std::string target;
  int depth;
  RoutineId routine;
  std::string start;  // of an instruction's text
};
const Expected kExpected[] = {
    {"sse41", 4, {RoutineKind::kEncode}, "cmpps xmm"},
    {"sse41", 4, {RoutineKind::kScanToRows}, "pshufb xmm"},
    {"sse41", 4, {RoutineKind::kScanToColumns}, "pshufb xmm"},
    {"sse41", 5, {RoutineKind::kScanToColumns}, "pmaddubsw xmm"},
    {"sse41", 4, {RoutineKind::kAccumulateRows}, "paddw xmm"},
    {"sse41", 4, {RoutineKind::kArgmax}, "maxps xmm"},
    {"avx2", 4, {RoutineKind::kArgmax}, "vmaxps ymm"},
    {"avx2", 4, {RoutineKind::kArgmax}, "vblendvps ymm"},
    {"avx512", 4, {RoutineKind::kArgmax}, "vmaxps zmm"},
    {"avx512", 4, {RoutineKind::kArgmax}, "vblendmps zmm"},
    {"avx2", 4, {RoutineKind::kSumsToRows}, "vpshufb ymm"},
    {"avx512_vbmi", 4, {RoutineKind::kSumsToColumns}, "vpdpbusd zmm"},
    {"avx512_vbmi", 4, {RoutineKind::kArgmax}, "vpdpbusd zmm"},
    {"avx2", 4, {RoutineKind::kEncode}, "vcmpps ymm"},
    {"avx2", 4, {RoutineKind::kEncode}, "vpermps ymm"},
    {"avx2", 4, {RoutineKind::kScanToRows}, "vpshufb ymm"},
    {"avx2", 4, {RoutineKind::kScanToColumns}, "vpshufb ymm"},
    {"avx2", 4, {RoutineKind::kScanToColumns}, "vpblendw ymm"},
    {"avx2", 4, {RoutineKind::kScanToRows}, "vfmsub"},
    {"avx2", 4, {RoutineKind::kArgmax}, "vfmsub"},
    {"avx2", 5, {RoutineKind::kScanToColumns}, "vpmaddubsw ymm"},
    {"avx2", 4, {RoutineKind::kAccumulateRows}, "vpaddw ymm"},
    {"sse41", 4, {RoutineKind::kStreamToColumns}, "movntps"},
    {"avx2", 4, {RoutineKind::kStreamToColumns}, "vmovntps"},
    {"avx512", 4, {RoutineKind::kStreamToRows}, "vmovntps"},
    {"sse41", 4, {RoutineKind::kEncode, InputType::kInt8}, "pcmpgtb xmm"},
    {"avx2", 4, {RoutineKind::kEncode, InputType::kInt8}, "vpcmpgtb ymm"},
    {"avx2", 4, {RoutineKind::kEncode, InputType::kUint8}, "vpcmpgtb ymm"},
    {"avx512", 4, {RoutineKind::kEncode, InputType::kInt8}, "vpcmpgtb k1, zmm"},
    {"avx512_vbmi", 5, {RoutineKind::kEncode, InputType::kUint8}, "vpcmpgtb k1, zmm"},
    {"sse41", 4, {RoutineKind::kEncode, InputType::kInt16}, "pmovsxwd xmm"},
    {"avx2", 4, {RoutineKind::kEncode, InputType::kInt16}, "vpmovsxwd ymm"},
    {"avx2", 4, {RoutineKind::kEncode, InputType::kFloat16}, "vcvtph2ps ymm"},
    {"avx2", 4, {RoutineKind::kEncode, InputType::kBfloat16}, "vpmovzxwd ymm"},
    {"avx512", 4, {RoutineKind::kEncode, InputType::kInt16}, "vpmovsxwd zmm"},
    {"avx512", 4, {RoutineKind::kEncode, InputType::kFloat16}, "vcvtph2ps zmm"},
    {"avx512_vbmi", 4, {RoutineKind::kEncode, InputType::kBfloat16}, "vpmovzxwd zmm"},
    {"avx512", 4, {RoutineKind::kEncode}, "vcmpps k1, zmm"},
    {"avx512", 5, {RoutineKind::kEncode}, "vpermps zmm"},
    {"avx512", 4, {RoutineKind::kScanToRows}, "vpshufb zmm"},
    {"avx512", 4, {RoutineKind::kScanToColumns}, "vpshufb zmm"},
    {"avx512", 5, {RoutineKind::kScanToColumns}, "vpmaddubsw zmm"},
    {"avx512", 4, {RoutineKind::kAccumulateRows}, "vpaddw zmm"},
    {"avx512_vbmi", 4, {RoutineKind::kEncode}, "vcmpps k1, zmm"},
    {"avx512_vbmi", 4, {RoutineKind::kScanToRows}, "vpermb zmm"},
    {"avx512_vbmi", 4, {RoutineKind::kScanToRows}, "vpdpbusd zmm"},
    {"avx512_vbmi", 4, {RoutineKind::kScanToColumns}, "vpermb zmm"},
    {"avx512_vbmi", 4, {RoutineKind::kScanToColumns}, "vpdpbusd zmm"},
    {"avx512_vbmi", 6, {RoutineKind::kScanToColumns}, "vpermb zmm"},
    {"avx512_vbmi", 7, {RoutineKind::kScanToColumns}, "vpermi2b zmm"},
};

// ---- reading programs back

// Stops at the first instruction that differs.
void compare(const Program& program, const std::vector<DecodedInstruction>& decoded) {
  auto next = decoded.begin();
  for (const testing::ListingLine& line : testing::resolved_listing(program)) {
    ASSERT_NE(next, decoded.end()) << line.text;
    if (line.text == "(padding)") {
      const size_t end = line.offset + line.length;
      for (; next != decoded.end() && next->offset < end; ++next) ASSERT_TRUE(next->text.starts_with("nop"));
      continue;
    }
    ASSERT_EQ(next->offset, line.offset) << line.text;
    ASSERT_EQ(next->length, line.length) << line.text;
    ASSERT_EQ(next->text, line.text) << "at offset " << line.offset;
    ++next;
  }
  ASSERT_EQ(next, decoded.end()) << next->text;
}

bool contains(const std::vector<DecodedInstruction>& decoded, const std::string& start) {
  return std::any_of(decoded.begin(), decoded.end(), [&](const auto& i) { return i.text.starts_with(start); });
}

std::vector<Program> programs_of(const Model& model, const Target& target) {
  return lower_routines(lower(model, choose_schedule(model, target), target));
}

Model model_with_linear_dims() {
  std::mt19937_64 rng(9);
  testing::ModelArrays arrays = testing::random_arrays(rng, {40, 20, 5, 3});
  arrays.linear = testing::random_linear(rng, 9, 40, 20, testing::Weights::kSmall);
  return Model(arrays);
}

// Programs that have every operation that lowering uses.
std::vector<Program> many_programs(const Target& target) {
  using testing::Entries;
  std::vector<Program> result = programs_of(model_with_linear_dims(), target);
  for (const testing::Shape& shape : {testing::Shape{3, 1, 1, 1},
                                      {40, 2, 5, 2},
                                      {64, 17, 16, 3},
                                      {9, 39, 64, 4},
                                      {512, 10, 16, 4},
                                      {70, 129, 4, 4},
                                      {64, 100, 16, 5},
                                      {50, 3, 9, 6},
                                      {20, 65, 5, 7},
                                      {60, 1, 32, 8}}) {
    for (const Entries entries : {Entries::kAny, Entries::kSmall, Entries::kMixed}) {
      for (const auto& make : {testing::random_model, testing::structured_model}) {
        if (make == testing::structured_model && entries != Entries::kAny) continue;
        for (Program& program : programs_of(make(8, shape, entries), target)) {
          const bool again = entries != Entries::kAny && program.name.starts_with("encode");  // encoders see no tables
          if (!again) result.push_back(std::move(program));
        }
      }
    }
  }
  return result;
}

class Encoding : public ::testing::TestWithParam<testing::NamedTarget> {
 protected:
  const Target& target() const { return GetParam().target; }

  // Decodes a program's code, checks it against its listing and its ISA, and returns it.
  std::vector<DecodedInstruction> read_back(const Program& program) {
    const MachineCode code = emit(program);
    std::vector<DecodedInstruction> decoded = testing::decode(std::span(code.bytes).first(code.code_bytes));
    compare(program, decoded);
    for (const DecodedInstruction& instruction : decoded) {
      EXPECT_TRUE(belongs_to(GetParam().name, instruction.isa_set))
          << instruction.text << " at offset " << instruction.offset << " is " << instruction.isa_set;
      collect_words(instruction.text);
    }
    if (HasFailure()) ADD_FAILURE() << listing(program);
    return decoded;
  }

  void expect_all_registers_seen() const {
    const std::string kind = target().vector_bytes == 64 ? "zmm" : target().vector_bytes == 32 ? "ymm" : "xmm";
    for (int i = 0; i < target().n_vector_regs; ++i) EXPECT_TRUE(words_.contains(kind + std::to_string(i))) << i;
    for (const char* pointer :
         {"rax", "rcx", "rdx", "rsi", "rdi", "rbx", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}) {
      EXPECT_TRUE(words_.contains(pointer)) << pointer;
    }
  }

 private:
  void collect_words(const std::string& text) {
    std::string word;
    for (const char c : text + " ") {
      if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
        word += c;
      } else {
        words_.insert(std::exchange(word, {}));
      }
    }
  }

  std::set<std::string> words_;  // of all instructions: mnemonics and registers
};
INSTANTIATE_TEST_SUITE_P(Targets, Encoding, ::testing::ValuesIn(targets_to_read_back()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(Encoding, OfModelsIsAsListed) {
  for (const Program& program : many_programs(target())) {
    SCOPED_TRACE(program.name);
    read_back(program);
    if (HasFailure()) return;
  }
}

TEST(ManyPrograms, HaveEveryVectorOperation) {
  std::set<Opcode> used;
  for (const Isa isa : all_isas()) {
    for (const Program& program : many_programs(target_for(isa))) {
      for (const Op& op : program.ops) used.insert(op.code);
    }
  }
  for (const Opcode code : testing::kVectorOps) {
    EXPECT_TRUE(used.contains(code)) << info(code).name << " is in no program";
  }
}

TEST_P(Encoding, OfModelsHasTheWideInstructions) {
  for (const Expected& expected : kExpected) {
    if (expected.target != GetParam().name) continue;
    const Model model = testing::random_model(8, {64, 10, 32, expected.depth}, testing::Entries::kAny);
    const LoweredModel lowered = lower(model, choose_schedule(model, target()), target());
    const Program program = lower_routine(expected.routine, lowered);
    EXPECT_TRUE(contains(read_back(program), expected.start)) << expected.start << " is missing in\n"
                                                              << listing(program);
  }
}

TEST_P(Encoding, OfLinearDimsHasDotProductsWhereThereAreAny) {
  const Model model = model_with_linear_dims();
  const LoweredModel lowered = lower(model, choose_schedule(model, target()), target());
  const Program program = lower_routine({RoutineKind::kArgmax}, lowered);
  EXPECT_EQ(contains(read_back(program), "vpdpbusd"), target().has(Feature::kByteDots)) << listing(program);
}

TEST_P(Encoding, OfEveryOperationInEveryRegisterIsAsListed) {
  const int32_t displacements[] = {0, 4, 64, 100, 127, 128, 8192, -64, -128, -129, 1 << 20};
  const int most_in_use = target().n_vector_regs - testing::kRegistersOfOperation;
  size_t round = 0;
  for (const Opcode code : testing::kVectorOps) {
    if (!target().has(info(code).needs)) continue;
    SCOPED_TRACE(info(code).name);
    for (const int64_t imm : testing::immediates(code, target())) {
      for (int i = 0; i < 2 * (most_in_use + 1); ++i, ++round) {
        read_back(testing::operation_program(code, target(), imm,
                                             {.registers_in_use = i / 2,
                                              .kept_sources = i % 2 == 0 ? testing::kKeepAll : testing::kKeepNone,
                                              .has_index = round % 3 == 0,
                                              .disp = displacements[round % std::size(displacements)]}));
        if (HasFailure()) return;
      }
    }
  }
  expect_all_registers_seen();
}

TEST_P(Encoding, OfPointerOperationsIsAsListed) {
  ProgramBuilder b("pointers", target(), {"p", "q"});
  const Preg p = b.arg(0), q = b.arg(1);
  const ConstantId constant = b.constant("constant", 64, std::vector<uint8_t>(256));
  const auto use = [&b](Preg result) { b.prefetch(at(result)); };
  for (const int64_t i : {0, 1, 63, 127, 128, 248, 256, 0x7fffffff}) {
    use(b.add_imm(p, i));
    use(b.add_imm(p, -i));
    use(b.mul_imm(p, i));
    use(b.shr_imm(p, i % 64));
    use(b.and_imm(p, i));
    for (const int64_t value : {i, -i, i << 1, i << 31, -(i << 31)}) use(b.set(value));
    use(b.add(p, q));
    use(b.address(at(p, q, i)));
    use(b.load_i64(at(p, q, -i)));
    use(b.address(at(constant, i % 256)));
    use(b.load_i64(at(constant, i % 249)));
  }
  b.repeat(b.arg(0), [&] { b.repeat(b.arg(1), [&] { b.prefetch(at(p)); }); });
  read_back(b.finish());
}

// ---- the decoder and the tables themselves

TEST(Decoder, TellsInstructionSetsApart) {
  using namespace Xbyak::util;
  struct Case {
    void (*emit)(Xbyak::CodeGenerator&);
    const char* text;
    std::vector<std::string> isas;  // that may contain it
  };
  const Case cases[] = {
      {[](auto& c) { c.mov(rax, 1); }, "mov rax, 1", {"sse41", "avx2", "avx2_with_vnni", "avx512", "avx512_vbmi"}},
      {[](auto& c) { c.mov(rax, -1); }, "mov rax, -1", {"sse41", "avx2", "avx2_with_vnni", "avx512", "avx512_vbmi"}},
      {[](auto& c) { c.mov(eax, ecx); }, "mov eax, ecx", {"sse41", "avx2", "avx2_with_vnni", "avx512", "avx512_vbmi"}},
      {[](auto& c) { c.pshufb(xmm1, xmm9); }, "pshufb xmm1, xmm9", {"sse41"}},
      {[](auto& c) { c.pcmpgtq(xmm1, xmm9); }, "pcmpgtq xmm1, xmm9", {}},
      {[](auto& c) { c.vpshufb(ymm1, ymm9, ptr[rax + r12 * 4 - 8]); },
       "vpshufb ymm1, ymm9, [rax+r12*4-8]",
       {"avx2", "avx2_with_vnni", "avx512", "avx512_vbmi"}},
      {[](auto& c) { c.vpshufb(ymm1, ymm17, ymm2); }, "vpshufb ymm1, ymm17, ymm2", {"avx512", "avx512_vbmi"}},
      {[](auto& c) { c.vpshufb(zmm1, zmm31, ptr[rcx + 128]); },
       "vpshufb zmm1, zmm31, [rcx+128]",
       {"avx512", "avx512_vbmi"}},
      {[](auto& c) { c.vaddps(zmm1 | k2 | T_z, zmm3, ptr_b[rcx]); },
       "vaddps zmm1{k2}{z}, zmm3, [rcx] {broadcast}",
       {"avx512", "avx512_vbmi"}},
      {[](auto& c) { c.vmovups(ptr[rcx] | k1, zmm3); }, "vmovups [rcx]{k1}, zmm3", {"avx512", "avx512_vbmi"}},
      {[](auto& c) { c.vpmovm2d(zmm16, k1); }, "vpmovm2d zmm16, k1", {"avx512", "avx512_vbmi"}},
      {[](auto& c) { c.kshiftrw(k1, k1, 7); }, "kshiftrw k1, k1, 7", {"avx512", "avx512_vbmi"}},
      {[](auto& c) { c.vpermb(zmm1, zmm31, zmm2); }, "vpermb zmm1, zmm31, zmm2", {"avx512_vbmi"}},
      {[](auto& c) { c.vpermi2b(zmm1, zmm31, zmm2); }, "vpermi2b zmm1, zmm31, zmm2", {"avx512_vbmi"}},
      {[](auto& c) { c.vpdpbusd(zmm1, zmm31, zmm2); }, "vpdpbusd zmm1, zmm31, zmm2", {"avx512_vbmi"}},
      {[](auto& c) { c.vpdpbusd(ymm1, ymm3, ymm2, Xbyak::VexEncoding); },
       "vpdpbusd ymm1, ymm3, ymm2",
       {"avx2_with_vnni"}},
      {[](auto& c) { c.vpshldd(zmm1, zmm2, zmm3, 4); }, "vpshldd zmm1, zmm2, zmm3, 4", {}},
      {[](auto& c) { c.vfmadd231ps(ymm1, ymm3, ymm2); }, "vfmadd231ps ymm1, ymm3, ymm2", {"avx2", "avx2_with_vnni"}},
      {[](auto& c) { c.shlx(rax, rcx, rdx); }, "shlx rax, rcx, rdx", {}},
  };
  for (const Case& c : cases) {
    Xbyak::CodeGenerator code;
    c.emit(code);
    const auto decoded = testing::decode({code.getCode(), code.getSize()});
    ASSERT_EQ(decoded.size(), 1u) << c.text;
    EXPECT_EQ(decoded[0].text, c.text);
    for (const auto& [isa, sets] : kIsaSets) {
      EXPECT_EQ(belongs_to(isa, decoded[0].isa_set), std::count(c.isas.begin(), c.isas.end(), isa) == 1)
          << c.text << " (" << decoded[0].isa_set << ") in code for " << isa;
    }
  }
}

TEST(Decoder, RefusesWhatIsNoInstruction) {
  EXPECT_THROW(testing::decode(std::vector<uint8_t>{0x90, 0x06}), std::runtime_error);  // push es: not in 64-bit code
  EXPECT_THROW(testing::decode(std::vector<uint8_t>{0x90, 0x48, 0x8b}), std::runtime_error);  // half a mov
}

}  // namespace
}  // namespace mithral::jit
