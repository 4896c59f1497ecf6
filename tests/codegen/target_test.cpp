// Targets are sets of features, and ISAs what they require of a CPU: neither has an order. Every routine works for
// targets that are only described.
#include <cpuinfo_x86.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include "codegen/model/error.h"
#include "codegen/model/reference.h"
#include "codegen/program/program_builder.h"
#include "jit/emit.h"
#include "runtime/executable.h"
#include "runtime/host.h"
#include "tests/support/targets.h"
#include "tests/support/typed_data.h"

namespace mithral {
namespace {

using codegen::Opcode;
using codegen::Program;
using testing::NamedTarget;

// ---- sets of features

TEST(FeatureSet, IsASet) {
  constexpr FeatureSet kNone, kOne{Feature::kMasks}, kTwo{Feature::kMasks, Feature::kPermuteTwo};
  static_assert(kTwo.has(Feature::kMasks) && kTwo.has(Feature::kPermuteTwo) && !kTwo.has(Feature::kByteDots));
  static_assert(kTwo.contains(kOne) && kTwo.contains(kTwo) && kTwo.contains(kNone) && !kOne.contains(kTwo));
  static_assert(kOne.with({Feature::kPermuteTwo}) == kTwo && kTwo.without({Feature::kPermuteTwo}) == kOne);
  static_assert(kOne.without(kTwo) == kNone && kOne.with(kTwo) == kTwo);
}

TEST(FeatureSet, AnyIsInAllOfThem) {
  constexpr FeatureSet kNone;
  static_assert(kNone.has(Feature::kAny) && FeatureSet{Feature::kByteDots}.has(Feature::kAny));
  static_assert(FeatureSet{Feature::kAny} == kNone);
}

// ---- what ISAs require

TEST(Isas, RequireFeaturesThatCpuFeaturesKnows) {
  std::set<std::string_view> known;
  for (int i = 0; i < cpu_features::X86_LAST_; ++i) {
    known.insert(cpu_features::GetX86FeaturesEnumName(static_cast<cpu_features::X86FeaturesEnum>(i)));
  }
  for (const Isa isa : all_isas()) {
    EXPECT_FALSE(required_cpu_features(isa).empty());
    for (const std::string_view name : required_cpu_features(isa)) EXPECT_TRUE(known.contains(name)) << name;
  }
}

TEST(Isas, RunWhereverOthersRequireAllThatTheyDo) {
  const std::vector<std::pair<Isa, std::vector<Isa>>> allowed = {
      {Isa::kSse41, {Isa::kSse41}},
      {Isa::kAvx2, {Isa::kSse41, Isa::kAvx2}},
      {Isa::kAvx512, {Isa::kSse41, Isa::kAvx2, Isa::kAvx512}},
      {Isa::kAvx512Vbmi, {Isa::kSse41, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vbmi}},
  };
  for (const auto& [cap, isas] : allowed) {
    for (const Isa isa : all_isas()) {
      EXPECT_EQ(runs_wherever(isa, cap), std::count(isas.begin(), isas.end(), isa) == 1)
          << isa_name(isa) << " where " << isa_name(cap) << " runs";
    }
  }
}

using Cpu = std::vector<std::string_view>;  // names of its features

Cpu cpu_for(Isa isa, const Cpu& more = {}) {
  Cpu result = more;
  result.insert(result.end(), required_cpu_features(isa).begin(), required_cpu_features(isa).end());
  return result;
}

Cpu without(Cpu cpu, std::string_view feature) {
  EXPECT_EQ(std::erase(cpu, feature), 1u) << feature;
  return cpu;
}

TEST(Isas, RunOnCpusThatHaveAllTheyRequire) {
  using Isas = std::vector<Isa>;
  EXPECT_EQ(runnable_isas(Cpu{}), Isas{});
  EXPECT_EQ(runnable_isas(Cpu{"sse4_1", "avx2", "avx512f"}), Isas{}) << "no SSSE3";
  EXPECT_EQ(runnable_isas(Cpu{"ssse3", "sse4_1", "avx"}), Isas{Isa::kSse41});
  const Cpu haswell = cpu_for(Isa::kAvx2, {"avx", "bmi1"}), ice_lake = cpu_for(Isa::kAvx512Vbmi);
  EXPECT_EQ(runnable_isas(haswell), (Isas{Isa::kSse41, Isa::kAvx2}));
  EXPECT_EQ(runnable_isas(without(haswell, "fma3")), Isas{Isa::kSse41});
  EXPECT_EQ(runnable_isas(without(haswell, "f16c")), Isas{Isa::kSse41});
  EXPECT_EQ(runnable_isas(cpu_for(Isa::kAvx2, {"avx_vnni"})), (Isas{Isa::kSse41, Isa::kAvx2}));
  EXPECT_EQ(runnable_isas(ice_lake), all_isas());
  EXPECT_EQ(runnable_isas(without(ice_lake, "avx512vnni")), (Isas{Isa::kSse41, Isa::kAvx2, Isa::kAvx512}));
  EXPECT_EQ(runnable_isas(without(ice_lake, "avx512dq")), (Isas{Isa::kSse41, Isa::kAvx2}));
}

// Caps may be beside one another: here one that has AVX-512, but not what avx2 requires, and one between two ISAs.
TEST(Isas, NeedNoOrder) {
  const Cpu beside = without(cpu_for(Isa::kAvx512), "fma3"), between = cpu_for(Isa::kAvx2, {"avx_vnni", "avx512f"});
  EXPECT_TRUE(runs_with(Isa::kSse41, beside));
  EXPECT_FALSE(runs_with(Isa::kAvx2, beside) || runs_with(Isa::kAvx512, beside));
  EXPECT_TRUE(runs_with(Isa::kAvx2, between));
  EXPECT_FALSE(runs_with(Isa::kAvx512, between));
}

TEST(Isas, BestIsTheLastThatRunsWithinTheCap) {
  EXPECT_EQ(best_isa({}, std::nullopt), std::nullopt);
  EXPECT_EQ(best_isa({}, Isa::kAvx512), std::nullopt);
  EXPECT_EQ(best_isa(all_isas(), std::nullopt), all_isas().back());
  for (const Isa cap : all_isas()) EXPECT_EQ(best_isa(all_isas(), cap), cap);
  EXPECT_EQ(best_isa({Isa::kSse41, Isa::kAvx2}, Isa::kAvx512Vbmi), Isa::kAvx2);
  EXPECT_EQ(best_isa({Isa::kSse41, Isa::kAvx2}, Isa::kSse41), Isa::kSse41);
  EXPECT_EQ(best_isa({Isa::kAvx2}, Isa::kSse41), std::nullopt);
}

TEST(Isas, UnknownNamesListTheKnownOnes) {
  try {
    isa_from_name("avx10");
    FAIL() << "there is no such ISA";
  } catch (const InvalidArgument& error) {
    EXPECT_STREQ(error.what(), "unknown ISA 'avx10'; allowed: sse41, avx2, avx512, avx512_vbmi");
  }
}

TEST(Target, HasWhatTheCpuHasBeyondTheIsa) {
  const Cpu alder_lake = cpu_for(Isa::kAvx2, {"avx_vnni"});
  EXPECT_EQ(target_for(Isa::kAvx2, "", alder_lake).features,
            target_for(Isa::kAvx2).features.with({Feature::kByteDots}));
  EXPECT_EQ(target_for(Isa::kAvx2, "", cpu_for(Isa::kAvx2)).features, target_for(Isa::kAvx2).features);
  for (const Isa isa : {Isa::kSse41, Isa::kAvx512, Isa::kAvx512Vbmi}) {
    EXPECT_EQ(target_for(isa, "", alder_lake).features, target_for(isa).features);
  }
}

TEST(Target, OfAMicroarchitectureHasTheFeaturesOfItsIsa) {
  for (const Isa isa : all_isas()) {
    EXPECT_EQ(target_for(isa, "INTEL_SPR").features, target_for(isa).features);
    EXPECT_EQ(target_for(isa, "INTEL_SPR").l2_bytes, 2048 * 1024);
    EXPECT_EQ(target_for(isa, "ACME_9000").l2_bytes, target_for(isa).l2_bytes);
  }
}

// ---- targets that are only described

class DescribedTarget : public ::testing::TestWithParam<NamedTarget> {
 protected:
  const Target& target() const { return GetParam().target; }

  std::vector<Backend> backends() const {
    std::vector<Backend> result = {Backend::kInterpreter};
    if (testing::host_executes(GetParam())) result.push_back(Backend::kJit);
    return result;
  }

  std::vector<Program> programs(const Model& model) const {
    return lower_routines(codegen::lower(model, codegen::choose_schedule(model, target()), target()));
  }
};
INSTANTIATE_TEST_SUITE_P(Targets, DescribedTarget, ::testing::ValuesIn(testing::described_targets()),
                         [](const auto& parameter) { return parameter.param.name; });

constexpr testing::Shape kShapes[] = {{3, 1, 1, 1},  {40, 5, 33, 3},  {20, 13, 16, 4}, {64, 100, 9, 4},
                                      {30, 9, 6, 5}, {50, 130, 9, 6}, {20, 5, 5, 7},   {60, 17, 11, 8}};

TEST_P(DescribedTarget, EveryRoutineIsLoweredVerifiedAndEmitted) {
  for (const testing::Shape& shape : kShapes) {
    for (const Program& program : programs(testing::structured_model(5, shape))) {
      EXPECT_EQ(program.target.features, target().features);
      if (GetParam().is_emitted) {
        EXPECT_FALSE(jit::emit(program).bytes.empty()) << program.name;
      } else {
        EXPECT_THROW(jit::emit(program), InternalError) << program.name;
      }
    }
  }
}

// Rows of input of a type, and what the reference makes of them.
template <typename T>
struct Case {
  static constexpr int64_t kRows = 336;  // columns in step with cache lines

  Case(uint64_t seed, const testing::Shape& shape)
      : model(testing::typed_model<T>(seed, shape)), codes(kRows * shape.n_codebooks), y(kRows * shape.n_outputs) {
    std::mt19937_64 rng(seed);
    input = testing::typed_input<T>(rng, kRows * shape.n_features);
    std::vector<float> floats;
    for (const T value : input) floats.push_back(to_float(value));
    const auto rows = row_major<const float>(floats.data(), kRows, shape.n_features);
    reference_codes(model.encoder(), rows, row_major(codes.data(), kRows, shape.n_codebooks));
    reference(model, rows, row_major(y.data(), kRows, shape.n_outputs));
  }

  InputView x() const { return row_major<const T>(input.data(), kRows, model.n_features()); }

  int32_t sum(int64_t row, int64_t output) const {
    int32_t result = 0;
    for (int64_t c = 0; c < model.n_codebooks(); ++c) {
      result += model.tables().entry(c, codes[row * model.n_codebooks() + c], output);
    }
    return result;
  }

  Model model;
  std::vector<T> input;
  std::vector<uint8_t> codes;  // (kRows, C)
  std::vector<float> y;        // (kRows, M)
};

template <typename T>
void expect_codes(const Target& target, Backend backend, const testing::Shape& shape, uint64_t seed) {
  const Case<T> c(seed, shape);
  const Executable executable(c.model, Activation::kNone, backend, target, codegen::choose_schedule(c.model, target));
  std::vector<uint8_t> codes(c.codes.size());
  executable.executor.encode(c.x(), row_major(codes.data(), c.kRows, shape.n_codebooks));
  EXPECT_EQ(codes, c.codes) << input_type_name(InputTypeOf<T>::value);
}

void expect_outputs(const Target& target, Backend backend, const codegen::Schedule& schedule, const Case<float>& c) {
  const int64_t rows = c.kRows, outputs = c.model.n_outputs();
  const Executable executable(c.model, Activation::kNone, backend, target, schedule);
  std::vector<float> y_rows(c.y.size()), y_columns(c.y.size());
  std::vector<int32_t> sums_rows(c.y.size()), sums_columns(c.y.size());
  const auto by_columns = col_major(y_columns.data(), rows, outputs);
  const auto sums_by_columns = col_major(sums_columns.data(), rows, outputs);
  executable.executor.outputs(c.x(), row_major(y_rows.data(), rows, outputs));
  executable.executor.outputs(c.x(), by_columns);
  executable.executor.sums(c.x(), row_major(sums_rows.data(), rows, outputs));
  executable.executor.sums(c.x(), sums_by_columns);
  EXPECT_EQ(std::memcmp(y_rows.data(), c.y.data(), 4 * c.y.size()), 0);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t m = 0; m < outputs; ++m) {
      ASSERT_EQ(std::memcmp(&by_columns(row, m), &c.y[row * outputs + m], 4), 0) << row << ", " << m;
      ASSERT_EQ(sums_rows[row * outputs + m], c.sum(row, m)) << row << ", " << m;
      ASSERT_EQ(sums_by_columns(row, m), c.sum(row, m)) << row << ", " << m;
    }
  }
}

// Argmax and top-k: lower_test.cpp, which has these targets too.
TEST_P(DescribedTarget, EveryRoutineReturnsTheReferencesBytes) {
  uint64_t seed = 40;
  for (const Backend backend : backends()) {
    for (const testing::Shape& shape : kShapes) {
      SCOPED_TRACE(::testing::Message() << backend_name(backend) << ", seed " << ++seed);
      expect_codes<int8_t>(target(), backend, shape, seed);
      expect_codes<uint8_t>(target(), backend, shape, seed);
      expect_codes<int16_t>(target(), backend, shape, seed);
      expect_codes<Float16>(target(), backend, shape, seed);
      expect_codes<Bfloat16>(target(), backend, shape, seed);
      expect_codes<float>(target(), backend, shape, seed);
      const Case<float> c(seed, shape);
      for (const int64_t min_outputs : {int64_t{1}, shape.n_outputs + 1}) {
        for (const int64_t stream_bytes : {int64_t{0}, std::numeric_limits<int64_t>::max()}) {
          codegen::Schedule schedule = codegen::choose_schedule(c.model, target());
          schedule.accumulate.min_outputs = min_outputs;
          schedule.call.stream_bytes = stream_bytes;
          expect_outputs(target(), backend, schedule, c);
        }
      }
      if (HasFailure()) return;
    }
  }
}

// Which operations the programs of a deep and a shallow model have.
std::set<Opcode> operations(const Target& target) {
  std::set<Opcode> result;
  for (const int64_t depth : {4, 6}) {
    const Model model = testing::random_model(7, {20, 13, 16, depth});
    const auto lowered = codegen::lower(model, codegen::choose_schedule(model, target), target);
    for (const Program& program : lower_routines(lowered)) {
      for (const codegen::Op& op : program.ops) result.insert(op.code);
    }
  }
  return result;
}

Target described(const std::string& name) {
  for (const NamedTarget& named : testing::described_targets()) {
    if (named.name == name) return named.target;
  }
  throw InternalError("no such target");
}

TEST(DescribedTargets, HaveTheOperationsOfTheirFeatures) {
  EXPECT_TRUE(operations(target_for(Isa::kAvx2)).contains(Opcode::mul_sub_f32));
  EXPECT_FALSE(operations(described("avx2_without_fma")).contains(Opcode::mul_sub_f32));
  EXPECT_TRUE(operations(target_for(Isa::kAvx2)).contains(Opcode::load_f16_f32));
  EXPECT_FALSE(operations(described("avx2_without_f16c")).contains(Opcode::load_f16_f32));
  const std::set<Opcode> avx10 = operations(described("avx10_256"));
  for (const Opcode code : {Opcode::descend, Opcode::pick_less, Opcode::store_first, Opcode::permute_two_m}) {
    EXPECT_TRUE(avx10.contains(code)) << codegen::info(code).name;
  }
  EXPECT_FALSE(avx10.contains(Opcode::lookup_64));
  const std::set<Opcode> tables_only = operations(described("avx512_vbmi_without_vnni"));
  EXPECT_TRUE(tables_only.contains(Opcode::lookup_64) && !tables_only.contains(Opcode::dot_u8));
}

// ---- what a backend cannot encode

void expect_refused(const Target& target, const char* what) {
  codegen::ProgramBuilder b("nothing", target, {});
  const Program program = b.finish();
  try {
    jit::emit(program);
    FAIL() << "emitted code for a target that has " << what;
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
  }
}

TEST(Emit, RefusesTargetsBeyondItsBackend) {
  expect_refused(described("avx10_256"), "program nothing for avx512: its target has vectors of another length");
  expect_refused(described("byte_dots_with_biased_sums"),
                 "program nothing for avx512_vbmi: its target has features that the backend lacks");
  for (const Isa isa : all_isas()) {
    Target target = target_for(isa);
    target.n_vector_regs = 32;
    expect_refused(target, "registers that the backend keeps");
    if (isa != Isa::kAvx512Vbmi) {
      target = target_for(isa);
      target.features = target.features.with({Feature::kByteTables});
      expect_refused(target, "features that the backend lacks");
    }
  }
}

}  // namespace
}  // namespace mithral
