// Programs as machine code: registers, bytes, single operations against the interpreter.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#include "codegen/lower.h"
#include "codegen/model/error.h"
#include "codegen/program/interpret.h"
#include "codegen/program/program_builder.h"
#include "jit/assign_registers.h"
#include "jit/compiled_routines.h"
#include "jit/emit.h"
#include "runtime/aligned_array.h"
#include "runtime/host.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/operation_program.h"
#include "tests/support/random.h"

namespace mithral::jit {
namespace {

using namespace codegen;

int64_t address(const void* p) { return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p)); }

LoweredModel lowered_model(const testing::Shape& shape, Isa isa, uint64_t seed = 5) {
  const Target target = target_for(isa);
  const Model model = testing::random_model(seed, shape);
  return lower(model, choose_schedule(model, target), target);
}

std::vector<Program> programs_of(const testing::Shape& shape, Isa isa, uint64_t seed = 5) {
  const Model model = testing::random_model(seed, shape);
  const Target target = target_for(isa);
  return lower_routines(lower(model, choose_schedule(model, target), target));
}

class EveryIsa : public ::testing::TestWithParam<Isa> {
 protected:
  Target target() const { return target_for(GetParam()); }
  void require_host() const {
    if (!host_runs(GetParam())) GTEST_SKIP() << "this CPU has no " << isa_name(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(Isas, EveryIsa, ::testing::ValuesIn(all_isas()),
                         [](const auto& parameter) { return std::string(isa_name(parameter.param)); });

// ---- register assignment

// Two values conflict when one is written while the other, written earlier, is still to be read: recomputed here by
// walking the list for every pair, loops unrolled twice, without intervals.
std::vector<int> two_rounds(const Program& program) {
  std::vector<int> order;
  const std::vector<int> loops = matching_loops(program);
  const std::function<void(int, int)> walk = [&](int begin, int end) {
    for (int i = begin; i < end; ++i) {
      order.push_back(i);
      if (program.ops[i].code != Opcode::loop_begin) continue;
      for (int round = 0; round < 2; ++round) {
        walk(i + 1, loops[i]);
        order.push_back(loops[i]);
      }
      i = loops[i];
    }
  };
  walk(0, static_cast<int>(program.ops.size()));
  return order;
}

// Executes the assignment symbolically: every read must find the virtual register that was last written into the
// machine register.
void expect_consistent(const Program& program, const RegisterAssignment& registers) {
  std::vector<int> vector_holds(program.target.n_vector_regs, -1), pointer_holds(program.target.n_pointer_regs, -1);
  for (const int i : two_rounds(program)) {
    const DefUse r = def_use(program.ops[i]);
    for (const Vreg use : r.vector_uses) {
      if (use == kNoVreg) continue;
      ASSERT_EQ(vector_holds[registers.vectors[static_cast<int>(use)]], static_cast<int>(use)) << "operation " << i;
    }
    for (const Preg use : r.pointer_uses) {
      if (use == kNoPreg) continue;
      ASSERT_EQ(pointer_holds[registers.pointers[static_cast<int>(use)]], static_cast<int>(use)) << "operation " << i;
    }
    if (r.vector_def != kNoVreg) {
      vector_holds[registers.vectors[static_cast<int>(r.vector_def)]] = static_cast<int>(r.vector_def);
    }
    if (r.pointer_def != kNoPreg) {
      pointer_holds[registers.pointers[static_cast<int>(r.pointer_def)]] = static_cast<int>(r.pointer_def);
    }
  }
}

TEST_P(EveryIsa, EveryReadFindsItsValue) {
  for (const testing::Shape shape : {testing::Shape{16, 10, 16, 4},
                                     {64, 100, 3, 3},
                                     {5, 1, 40, 2},
                                     {1, 17, 1, 1},
                                     {64, 100, 16, 5},
                                     {50, 3, 9, 6},
                                     {20, 70, 5, 7},
                                     {99, 65, 16, 8}}) {
    for (const Program& program : programs_of(shape, GetParam())) {
      expect_consistent(program, assign_registers(program));
    }
  }
}

TEST(AssignRegisters, LoopKeepsWhatItsNextIterationReads) {
  ProgramBuilder b("loop", target_for(Isa::kAvx2), {"count", "p"});
  const Preg count = b.arg(0), p = b.arg(1);
  const Vreg kept = b.load(at(p));
  Vreg inner{};
  b.repeat(count, [&] {
    b.store(at(p), kept);
    inner = b.load(at(p));
    b.store(at(p), inner);
  });
  const Program program = b.finish();
  const RegisterAssignment registers = assign_registers(program);
  EXPECT_NE(registers.vectors[static_cast<int>(kept)], registers.vectors[static_cast<int>(inner)]);
}

TEST(AssignRegisters, SaysWhichOperationNeedsTooMany) {
  ProgramBuilder b("wide", target_for(Isa::kAvx2), {"p"});
  const Preg p = b.arg(0);
  std::vector<Vreg> values;
  for (int i = 0; i < 17; ++i) values.push_back(b.load(at(p, 32 * i)));
  for (const Vreg value : values) b.store(at(p), value);
  try {
    assign_registers(b.finish());
    FAIL() << "17 values in 16 registers";
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find("more than 16 vector registers at operation 17: v16 = load [p0 + 512]"),
              std::string::npos)
        << error.what();
  }
}

// ---- bytes

TEST_P(EveryIsa, EmittingTwiceGivesEqualBytes) {
  for (const Program& program : programs_of({40, 20, 17, 4}, GetParam())) {
    EXPECT_EQ(emit(program).bytes, emit(program).bytes) << program.name;
  }
}

TEST_P(EveryIsa, ListingShowsEveryByteOfTheCode) {
  for (const Program& program : programs_of({16, 10, 4, 4}, GetParam())) {
    const MachineCode code = emit(program);
    std::istringstream lines(listing(program));
    std::string line, bytes;
    while (std::getline(lines, line)) {
      if (line.empty() || line[0] == ';') continue;
      std::istringstream fields(line);
      size_t offset;
      std::string hex;
      fields >> std::hex >> offset >> hex;
      EXPECT_EQ(offset, bytes.size() / 2) << line;
      bytes += hex;
    }
    std::string expected;
    for (size_t i = 0; i < code.code_bytes; ++i) {
      char hex[3];
      std::snprintf(hex, sizeof hex, "%02x", code.bytes[i]);
      expected += hex;
    }
    EXPECT_EQ(bytes, expected) << program.name;
  }
}

// ---- single operations

// Random bytes, kept within what the operation is defined for: no NaN into arithmetic (its payload is not part of the
// contract).
std::vector<uint8_t> operand(Opcode code, std::mt19937_64& rng, int bytes) {
  std::vector<uint8_t> result(bytes);
  for (uint8_t& byte : result) byte = static_cast<uint8_t>(rng());
  const bool compares = code == Opcode::less_f32 || code == Opcode::less_f32_r || code == Opcode::descend ||
                        code == Opcode::pick_less || code == Opcode::max_f32_m;
  if (code == Opcode::mul_f32 || code == Opcode::add_f32 || code == Opcode::mul_sub_f32 || compares) {
    for (int i = 0; i < bytes; i += 4) {
      float value = static_cast<float>(static_cast<int>(rng() % 2001) - 1000) * 0.37f;
      if (compares && rng() % 4 == 0) value = testing::kHardValues[rng() % std::size(testing::kHardValues)];
      std::memcpy(&result[i], &value, 4);
    }
  }
  return result;
}

TEST_P(EveryIsa, EveryVectorOperationDoesWhatTheInterpreterSays) {
  require_host();
  if (IsSkipped()) return;
  std::mt19937_64 rng(9);
  const Target target = host_target(GetParam());  // with what this CPU has beyond the ISA
  const int bytes = target.vector_bytes;
  const testing::Surroundings high_registers{.registers_in_use = target.n_vector_regs,
                                             .kept_sources = testing::kKeepAll};
  const auto check = [&](Opcode code, const Program& program) {
    const CompiledRoutines compiled(std::span(&program, 1));
    for (int round = 0; round < 50; ++round) {
      const std::vector<uint8_t> a = operand(code, rng, 2 * bytes), b = operand(code, rng, bytes);
      testing::GuardedBuffer<uint8_t> a_buffer(a, testing::Flush::kEnd), b_buffer(b, testing::Flush::kEnd);
      alignas(64) std::array<uint8_t, 128> expected, got;  // as `stream` asks
      expected.fill(0xaa), got.fill(0xaa);
      const int64_t expected_args[] = {address(a_buffer.data()), address(b_buffer.data()), address(expected.data())};
      Interpreter(program).run(expected_args);
      const int64_t args[] = {address(a_buffer.data()), address(b_buffer.data()), address(got.data())};
      compiled.function(0)(args);
      ASSERT_EQ(got, expected) << info(code).name << "\n" << listing(program);
    }
  };
  for (const Opcode code : testing::kVectorOps) {
    if (!target.has(info(code).needs)) continue;
    for (const int64_t imm : testing::immediates(code, target)) {
      for (int kept = testing::kKeepNone; kept <= testing::kKeepAll;
           ++kept) {  // the result shares each source's register
        check(code, testing::operation_program(code, target, imm, {.kept_sources = kept}));
      }
      check(code, testing::operation_program(code, target, imm, high_registers));
    }
  }
}

// ---- as code

TEST_P(EveryIsa, CodeRunsAtAnyAlignedAddress) {
  require_host();
  if (IsSkipped()) return;
  const LoweredModel lowered = lowered_model({8, 6, 4, 6}, GetParam());
  const Program scan = lower_routine({RoutineKind::kSumsToColumns}, lowered);
  const MachineCode code = emit(scan);
  const CodeLayout& layout = lowered.schedule.codes;
  constexpr int kBlocks = 4;
  const int64_t rows = kBlocks * layout.block_rows();
  std::vector<uint8_t> codes(kBlocks * layout.block_bytes());
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(i * 5 % 64);
  AlignedArray<uint8_t> tables(lowered.scan.lookup_tables.bytes());
  for (int64_t i = 0; i < tables.bytes(); ++i) tables.data()[i] = static_cast<uint8_t>(i * 7);
  std::vector<std::vector<float>> results;
  for (const size_t shift : {0, 64, 4096, 64 * 77}) {
    std::vector<uint8_t> padded(shift, 0xcc);
    padded.insert(padded.end(), code.bytes.begin(), code.bytes.end());
    const CodeMemory memory(padded);
    std::vector<float> y(6 * rows);
    const ScanArguments args{codes.data(), tables.data(), nullptr, y.data(), 4 * rows, kBlocks, nullptr, 6};
    const auto function = reinterpret_cast<RoutineFunction>(reinterpret_cast<uintptr_t>(memory.data() + shift));
    function(reinterpret_cast<const int64_t*>(&args));
    results.push_back(y);
  }
  for (const auto& result : results) EXPECT_EQ(std::memcmp(result.data(), results[0].data(), 4 * result.size()), 0);
}

}  // namespace
}  // namespace mithral::jit
