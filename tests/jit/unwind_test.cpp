// Unwinding out of emitted code: from every instruction that a call executes, and from a fault.
#include <execinfo.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iterator>
#include <memory>
#include <thread>

#include "codegen/lower.h"
#include "codegen/program/program_builder.h"
#include "jit/compiled_routines.h"
#include "runtime/host.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/random.h"
#include "tests/support/routine_calls.h"

namespace mithral::jit {
namespace {

using namespace codegen;

int64_t address(const void* p) { return static_cast<int64_t>(reinterpret_cast<uintptr_t>(p)); }

// Handles a signal while it lives.
class SignalHandler {
 public:
  SignalHandler(int signal, void (*handler)(int, siginfo_t*, void*)) : signal_(signal) {
    struct sigaction action {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO;
    sigaction(signal, &action, &before_);
  }
  ~SignalHandler() { sigaction(signal_, &before_, nullptr); }
  SignalHandler(const SignalHandler&) = delete;
  SignalHandler& operator=(const SignalHandler&) = delete;

 private:
  int signal_;
  struct sigaction before_ {};
};

// The function that unwinding must find above the routine.
__attribute__((noinline)) int64_t call_routine(RoutineFunction function, const int64_t* args) {
  function(args);
  asm volatile("" ::: "memory");  // no tail call
  return args[0];
}

// ---- one instruction at a time

// The registers that a caller counts on, by their DWARF numbers: rbx, rbp, r12 to r15.
constexpr int kDwarfSaved[] = {3, 6, 12, 13, 14, 15};
constexpr int kContextSaved[] = {REG_RBX, REG_RBP, REG_R12, REG_R13, REG_R14, REG_R15};
constexpr int kSavedCount = 6;

// What belongs to the caller of a routine.
struct CallerState {
  uint64_t return_address = 0, stack_pointer = 0;
  uint64_t saved[kSavedCount] = {};
  bool operator==(const CallerState&) const = default;
};

// Shared with the handler of SIGTRAP, which runs after every instruction while `stepping`.
struct Stepper {
  bool stepping = false;
  uint64_t begin = 0, end = 0;  // the routine's code
  CallerState at_entry;
  uint64_t first = 0, last = 0;  // instructions that were seen
  int64_t steps = 0;
  int64_t wrong = 0;
  uint64_t first_wrong = 0;
} stepper;

struct Search {
  uint64_t from;  // the instruction to find the caller of
  bool next_is_caller = false;
  CallerState caller = {};
  const void* function = nullptr;
};

_Unwind_Reason_Code look_at_frame(_Unwind_Context* context, void* argument) {
  Search& search = *static_cast<Search*>(argument);
  if (search.next_is_caller) {
    search.caller.return_address = _Unwind_GetIP(context);
    search.caller.stack_pointer = _Unwind_GetCFA(context);
    for (int i = 0; i < kSavedCount; ++i) search.caller.saved[i] = _Unwind_GetGR(context, kDwarfSaved[i]);
    search.function = _Unwind_FindEnclosingFunction(reinterpret_cast<void*>(search.caller.return_address));
    return _URC_END_OF_STACK;
  }
  search.next_is_caller = _Unwind_GetIP(context) == search.from;
  return _URC_NO_REASON;
}

void on_instruction(int, siginfo_t*, void* context) {
  constexpr greg_t kTrapFlag = 0x100;
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  registers[REG_EFL] = stepper.stepping ? registers[REG_EFL] | kTrapFlag : registers[REG_EFL] & ~kTrapFlag;
  const auto at = static_cast<uint64_t>(registers[REG_RIP]);
  if (at < stepper.begin || at >= stepper.end) return;

  if (at == stepper.begin) {
    const auto stack_pointer = static_cast<uint64_t>(registers[REG_RSP]);
    stepper.at_entry = {*reinterpret_cast<const uint64_t*>(stack_pointer), stack_pointer + 8, {}};
    for (int i = 0; i < kSavedCount; ++i) {
      stepper.at_entry.saved[i] = static_cast<uint64_t>(registers[kContextSaved[i]]);
    }
    stepper.first = at;
  }
  stepper.last = at;
  ++stepper.steps;
  Search search{.from = at};
  _Unwind_Backtrace(look_at_frame, &search);
  if (search.caller == stepper.at_entry && search.function == reinterpret_cast<const void*>(&call_routine)) return;
  if (stepper.wrong++ == 0) stepper.first_wrong = at;
}

void expect_callers_found(const CompiledRoutines& compiled, size_t index, const int64_t* args) {
  const EmittedRoutine& routine = compiled.code().routines[index];
  const auto begin = reinterpret_cast<uintptr_t>(compiled.code().code(routine).data());
  stepper = {.stepping = true, .begin = begin, .end = begin + routine.code_bytes};
  const SignalHandler handler(SIGTRAP, on_instruction);
  raise(SIGTRAP);
  call_routine(compiled.function(index), args);
  stepper.stepping = false;
  raise(SIGTRAP);

  SCOPED_TRACE(routine.name);
  EXPECT_EQ(stepper.first, begin);
  EXPECT_EQ(stepper.last, begin + routine.code_bytes - 1) << "the last instruction is a ret of one byte";
  EXPECT_EQ(stepper.wrong, 0) << "of " << stepper.steps << " instructions, first at offset "
                              << stepper.first_wrong - begin;
}

class Unwinding : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!host_runs(GetParam())) GTEST_SKIP() << "this CPU has no " << isa_name(GetParam());
  }
  Target target() const { return target_for(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Isas, Unwinding, ::testing::ValuesIn(all_isas()),
                         [](const auto& parameter) { return std::string(isa_name(parameter.param)); });

TEST_P(Unwinding, FindsTheCallerFromEveryInstruction) {
  const Model model = testing::random_model(5, {8, 9, 3, 4});
  const LoweredModel lowered = lower(model, choose_schedule(model, target()), target());
  const CompiledRoutines compiled(lower_routines(lowered));
  testing::RoutineCalls calls(lowered);
  size_t i = 0;
  for (const RoutineId& id : routines_of(lowered)) {
    calls.call(id, 1, [&](const int64_t* arguments) { expect_callers_found(compiled, i++, arguments); });
  }
}

// Keeps a number of arguments in registers at once: few save nothing, all save every callee-saved register.
Program with_pointers(int count, const Target& target) {
  ProgramBuilder b("pointers", target, std::vector<std::string>(static_cast<size_t>(count), "p"));
  std::vector<Preg> pointers;
  for (int i = 0; i < count; ++i) pointers.push_back(b.arg(i));
  for (const Preg pointer : pointers) b.store(at(pointer), b.load(at(pointers[0])));
  return b.finish();
}

TEST_P(Unwinding, FindsTheCallerWhateverIsSaved) {
  const int most = target().n_pointer_regs;
  std::vector<uint8_t> memory(static_cast<size_t>(target().vector_bytes));
  const std::vector<int64_t> args(static_cast<size_t>(most), address(memory.data()));
  for (int count = 1; count <= most; ++count) {
    const Program program = with_pointers(count, target());
    const CompiledRoutines compiled(std::span(&program, 1));
    EXPECT_EQ(compiled.code().routines[0].frame.size(), static_cast<size_t>(2 * std::max(count - 8, 0)));
    expect_callers_found(compiled, 0, args.data());
  }
}

// Longer than several pages, between others.
Program of_many_operations(const Target& target) {
  ProgramBuilder b("long", target, std::vector<std::string>(static_cast<size_t>(target.n_pointer_regs), "p"));
  std::vector<Preg> pointers;
  for (int i = 0; i < target.n_pointer_regs; ++i) pointers.push_back(b.arg(i));
  for (int i = 0; i < 3000; ++i) {
    const Preg pointer = pointers[static_cast<size_t>(i) % pointers.size()];
    b.store(at(pointer), b.load(at(pointer)));
  }
  return b.finish();
}

TEST_P(Unwinding, FindsTheCallerOfALongRoutine) {
  const Program programs[] = {with_pointers(1, target()), of_many_operations(target()), with_pointers(2, target())};
  const CompiledRoutines compiled(programs);
  ASSERT_GT(compiled.code().routines[1].code_bytes, 3 * kPageBytes);
  std::vector<uint8_t> memory(static_cast<size_t>(target().vector_bytes));
  const std::vector<int64_t> args(static_cast<size_t>(target().n_pointer_regs), address(memory.data()));
  for (size_t i = 0; i < std::size(programs); ++i) expect_callers_found(compiled, i, args.data());
}

// ---- from a fault

constexpr int kMaxFrames = 64;
void* frames[kMaxFrames];
int frame_count = 0;

// Looks at the stack as a crash handler does, then lets the routine go on.
void on_fault(int, siginfo_t* info, void*) {
  frame_count = backtrace(frames, kMaxFrames);
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t start = reinterpret_cast<uintptr_t>(info->si_addr) / page * page;
  if (mprotect(reinterpret_cast<void*>(start), page, PROT_READ | PROT_WRITE) != 0) _exit(1);
}

TEST_P(Unwinding, CrashHandlersSeeTheCaller) {
  const Program program = with_pointers(target().n_pointer_regs, target());
  const CompiledRoutines compiled(std::span(&program, 1));
  testing::GuardedBuffer<uint8_t> buffer(0);
  const std::vector<int64_t> args(static_cast<size_t>(target().n_pointer_regs), address(buffer.data()));
  backtrace(frames, kMaxFrames);  // its first call allocates
  frame_count = 0;
  const SignalHandler handler(SIGSEGV, on_fault);
  call_routine(compiled.function(0), args.data());

  const auto is_above_routine = [&](int i) {
    const auto* inner = static_cast<const uint8_t*>(frames[i - 1]);
    const bool inner_is_routine = inner > compiled.bytes().data() && inner < &compiled.bytes().back();
    return inner_is_routine && _Unwind_FindEnclosingFunction(frames[i]) == reinterpret_cast<void*>(&call_routine);
  };
  bool found = false;
  for (int i = 1; i < frame_count; ++i) found = found || is_above_routine(i);
  EXPECT_TRUE(found) << frame_count << " frames";
}

// ---- for how long

TEST(UnwindInfo, IsKnownWhileTheCodeLives) {
  const Target target = target_for(all_isas().front());
  const Program programs[] = {with_pointers(1, target), with_pointers(14, target)};
  std::vector<uint8_t*> starts;
  {
    const CompiledRoutines compiled(programs);
    for (const EmittedRoutine& routine : compiled.code().routines) {
      auto* start = const_cast<uint8_t*>(compiled.code().code(routine).data());
      EXPECT_EQ(_Unwind_FindEnclosingFunction(start + 1), start);
      EXPECT_EQ(_Unwind_FindEnclosingFunction(start + routine.code_bytes), start);
      EXPECT_EQ(_Unwind_FindEnclosingFunction(start + routine.code_bytes + 1), nullptr);
      starts.push_back(start);
    }
  }
  for (uint8_t* start : starts) EXPECT_EQ(_Unwind_FindEnclosingFunction(start + 1), nullptr);
}

// Every byte of a routine, as its neighbours in the same region come and go in another thread.
TEST(UnwindInfo, IsRightWhileNeighboursChange) {
  const Target target = target_for(all_isas().front());
  const Program programs[] = {with_pointers(1, target), of_many_operations(target), with_pointers(14, target)};
  std::vector<std::unique_ptr<const CompiledRoutines>> before;
  for (int i = 0; i < 3; ++i) before.push_back(std::make_unique<CompiledRoutines>(programs));
  const CompiledRoutines kept(programs);
  std::atomic<bool> done = false;
  std::thread neighbours([&] {
    for (size_t i = 0; i < 300; ++i) {
      before[i % 3] = nullptr;
      before[i % 3] = std::make_unique<CompiledRoutines>(std::span(programs).first(1 + i % 3));
    }
    done = true;
  });
  int64_t looks = 0, wrong = 0;
  do {
    for (const EmittedRoutine& routine : kept.code().routines) {
      auto* start = const_cast<uint8_t*>(kept.code().code(routine).data());
      for (size_t at = 1; at <= routine.code_bytes; at += 97) {
        ++looks;
        wrong += _Unwind_FindEnclosingFunction(start + at) != start;
      }
    }
  } while (!done);
  neighbours.join();
  EXPECT_EQ(wrong, 0) << "of " << looks;
}

}  // namespace
}  // namespace mithral::jit
