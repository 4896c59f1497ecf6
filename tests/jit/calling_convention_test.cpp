// What a call of a routine leaves behind: every routine, for every ISA that this CPU runs.
#include <gtest/gtest.h>
#include <xbyak/xbyak.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "codegen/lower.h"
#include "jit/compiled_routines.h"
#include "runtime/host.h"
#include "tests/support/random.h"
#include "tests/support/routine_calls.h"

namespace mithral::jit {
namespace {

using namespace codegen;

constexpr int kSavedCount = 6;     // rbx, rbp, r12 to r15
constexpr int kVectors = 16;       // those that vzeroupper cleans
constexpr int kVectorBytes = 64;   // room for the widest
constexpr int kSegmentBytes = 16;  // what SSE instructions write

constexpr uint64_t saved_value(int i) { return 0x1111111111111111 * static_cast<uint64_t>(i + 1); }

// What a trampoline sees after it has called a routine with known values in all that a routine must keep.
struct AroundCall {
  uint32_t mxcsr_before;
  uint32_t mxcsr_after;
  uint64_t saved[kSavedCount];
  uint64_t stack_shift;  // rsp after minus rsp before
  uint64_t flags;
  uint8_t vectors[kVectors][kVectorBytes];
};

// void(AroundCall* rdi, RoutineFunction rsi, const int64_t* args rdx)
class Trampoline : public Xbyak::CodeGenerator {
 public:
  // `vector_bytes` of the vector registers are filled with ones before and looked at after; 0: the CPU has SSE alone,
  // whose registers belong to the callee as a whole.
  explicit Trampoline(int vector_bytes) {
    const Xbyak::Reg64 callee_saved[] = {rbx, rbp, r12, r13, r14, r15};
    for (const auto& r : callee_saved) push(r);
    push(rdi);
    mov(rax, rsi);
    ldmxcsr(ptr[rdi + offsetof(AroundCall, mxcsr_before)]);
    mov(rdi, rdx);
    for (int i = 0; i < kSavedCount; ++i) mov(callee_saved[i], saved_value(i));
    for (int i = 0; i < kVectors; ++i) fill(i, vector_bytes);
    mov(ptr[rip + stack_before_], rsp);
    call(rax);
    mov(rdi, ptr[rsp]);
    for (int i = 0; i < kSavedCount; ++i) mov(ptr[rdi + offsetof(AroundCall, saved) + 8 * i], callee_saved[i]);
    mov(rax, rsp);
    sub(rax, ptr[rip + stack_before_]);
    mov(ptr[rdi + offsetof(AroundCall, stack_shift)], rax);
    stmxcsr(ptr[rdi + offsetof(AroundCall, mxcsr_after)]);
    pushfq();
    pop(rax);
    mov(ptr[rdi + offsetof(AroundCall, flags)], rax);
    cld();
    ldmxcsr(ptr[rip + default_mxcsr_]);
    for (int i = 0; i < kVectors; ++i) store(i, vector_bytes);
    if (vector_bytes > 0) vzeroupper();
    pop(rdi);
    for (int i = kSavedCount - 1; i >= 0; --i) pop(callee_saved[i]);
    ret();
    align(8);
    L(stack_before_);
    dq(0);
    L(default_mxcsr_);
    dd(0x1f80);
  }

 private:
  void fill(int i, int vector_bytes) {
    if (vector_bytes == 32) vpcmpeqd(Xbyak::Ymm(i), Xbyak::Ymm(i), Xbyak::Ymm(i));
    if (vector_bytes == 64) vpternlogd(Xbyak::Zmm(i), Xbyak::Zmm(i), Xbyak::Zmm(i), 0xff);
  }
  void store(int i, int vector_bytes) {
    const Xbyak::Address to = ptr[rdi + offsetof(AroundCall, vectors) + kVectorBytes * i];
    if (vector_bytes == 32) vmovups(to, Xbyak::Ymm(i));
    if (vector_bytes == 64) vmovups(to, Xbyak::Zmm(i));
  }

  Xbyak::Label stack_before_, default_mxcsr_;
};

class CallingConvention : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!host_runs(GetParam())) GTEST_SKIP() << "this CPU has no " << isa_name(GetParam());
  }

  void expect_kept(const CompiledRoutines& compiled, size_t routine, const int64_t* args, uint32_t mxcsr) {
    AroundCall around{.mxcsr_before = mxcsr};
    trampoline_.getCode<void (*)(AroundCall*, RoutineFunction, const int64_t*)>()(&around, compiled.function(routine),
                                                                                  args);
    for (int i = 0; i < kSavedCount; ++i) EXPECT_EQ(around.saved[i], saved_value(i)) << "callee-saved register " << i;
    EXPECT_EQ(around.stack_shift, 0u);
    EXPECT_EQ(around.flags & 0x400u, 0u) << "direction flag";
    constexpr uint32_t kStatus = 0x3f;  // set by comparisons and arithmetic
    EXPECT_EQ(around.mxcsr_after & ~kStatus, mxcsr) << "control bits of MXCSR";
    if (vector_bytes_ == 0) return;
    // SSE instructions do not touch the upper parts; all others must leave them zero.
    const auto upper_bytes = static_cast<size_t>(vector_bytes_ - kSegmentBytes);
    const std::vector<uint8_t> upper(upper_bytes, GetParam() == Isa::kSse41 ? 0xff : 0);
    for (int i = 0; i < kVectors; ++i) {
      EXPECT_EQ(std::memcmp(around.vectors[i] + kSegmentBytes, upper.data(), upper_bytes), 0) << "above xmm" << i;
    }
  }

 private:
  int vector_bytes_ = host_runs(Isa::kAvx512) ? 64 : host_runs(Isa::kAvx2) ? 32 : 0;
  Trampoline trampoline_{vector_bytes_};
};
INSTANTIATE_TEST_SUITE_P(Isas, CallingConvention, ::testing::ValuesIn(all_isas()),
                         [](const auto& parameter) { return std::string(isa_name(parameter.param)); });

TEST_P(CallingConvention, IsKeptByEveryRoutine) {
  constexpr uint32_t kAsThreadsStart = 0x1f80, kUnusual = 0xffc0;  // denormals are zero, rounding is towards zero
  const Target target = target_for(GetParam());
  size_t saved = 0;
  std::mt19937_64 rng(5);
  for (const testing::Shape shape : {testing::Shape{16, 20, 5, 8}, {8, 9, 3, 4}, {40, 3, 9, 2}}) {
    testing::ModelArrays arrays = testing::random_arrays(rng, shape);
    arrays.linear = testing::random_linear(rng, 7, shape.n_features, shape.n_outputs, testing::Weights::kAny);
    const Model model(arrays);
    const LoweredModel lowered = lower(model, choose_schedule(model, target), target);
    testing::RoutineCalls calls(lowered);
    for (const RoutineId& id : routines_of(lowered)) {
      const Program program = lower_routine(id, lowered);
      const CompiledRoutines compiled(std::span(&program, 1));
      saved = std::max(saved, compiled.code().routines[0].frame.size() / 2);
      for (const uint32_t mxcsr : {kAsThreadsStart, kUnusual}) {
        SCOPED_TRACE(message(program.name, " of ", shape.n_outputs, " outputs, MXCSR ", mxcsr));
        calls.call(id, 2, [&](const int64_t* arguments) { expect_kept(compiled, 0, arguments, mxcsr); });
      }
    }
  }
  EXPECT_GT(saved, 0u) << "no routine uses a register that it must save";
}

}  // namespace
}  // namespace mithral::jit
