// What debuggers are told about emitted code, read back as they read it.
#include <elf.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <thread>

#include "codegen/model/error.h"
#include "codegen/simplify_model.h"
#include "jit/compiled_routines.h"
#include "jit/gdb_registration.h"
#include "runtime/host.h"
#include "runtime/kernel.h"
#include "tests/support/compiled.h"
#include "tests/support/sanitizers.h"

// The debugger's side of the GDB JIT interface, as its manual describes it.
extern "C" {
struct DebuggerEntry {
  DebuggerEntry* next;
  DebuggerEntry* previous;
  const char* image;
  uint64_t image_size;
};
struct DebuggerDescriptor {
  uint32_t version, action;
  DebuggerEntry* relevant;
  DebuggerEntry* first;
};
extern DebuggerDescriptor __jit_debug_descriptor;  // NOLINT(bugprone-reserved-identifier): the interface's name
}

namespace mithral::jit {
namespace {

using testing::compile_on_threads;
using testing::field;
using testing::programs;

std::vector<const DebuggerEntry*> debugger_list() {
  std::vector<const DebuggerEntry*> result;
  const DebuggerEntry* previous = nullptr;
  for (const DebuggerEntry* entry = __jit_debug_descriptor.first; entry != nullptr; entry = entry->next) {
    EXPECT_EQ(entry->previous, previous);
    result.push_back(previous = entry);
  }
  return result;
}

struct ElfFile {
  explicit ElfFile(const DebuggerEntry& entry) : bytes(entry.image, entry.image_size) {
    const auto header = field<Elf64_Ehdr>(bytes, 0);
    EXPECT_EQ(std::memcmp(header.e_ident, ELFMAG, SELFMAG), 0);
    EXPECT_EQ(header.e_machine, EM_X86_64);
    for (int i = 0; i < header.e_shnum; ++i) {
      sections.push_back(field<Elf64_Shdr>(bytes, header.e_shoff + i * sizeof(Elf64_Shdr)));
    }
    names = sections[header.e_shstrndx];
  }
  const Elf64_Shdr& section(const std::string& name) const {
    const auto found = std::find_if(sections.begin(), sections.end(), [&](const Elf64_Shdr& s) {
      return name == bytes.c_str() + names.sh_offset + s.sh_name;
    });
    if (found == sections.end()) throw std::out_of_range("no section " + name);
    return *found;
  }
  std::string contents(const Elf64_Shdr& s) const { return bytes.substr(s.sh_offset, s.sh_size); }

  std::string bytes;
  std::vector<Elf64_Shdr> sections;
  Elf64_Shdr names{};
};

TEST(DebuggerList, HasTheSymbolsOfEveryRoutine) {
  const CompiledRoutines compiled(programs(), {.model = "C3 L4"});
  const ElfFile elf(*debugger_list().at(0));
  const Elf64_Shdr& table = elf.section(".symtab");
  ASSERT_EQ(table.sh_size, (1 + programs().size()) * sizeof(Elf64_Sym));
  const std::string strings = elf.contents(elf.sections[table.sh_link]);
  for (size_t i = 0; i < programs().size(); ++i) {
    const auto symbol = field<Elf64_Sym>(elf.contents(table), (1 + i) * sizeof(Elf64_Sym));
    const EmittedRoutine& routine = compiled.code().routines[i];
    EXPECT_EQ(strings.c_str() + symbol.st_name, routine.name);
    EXPECT_EQ(symbol.st_value, reinterpret_cast<uintptr_t>(compiled.function(i)));
    EXPECT_EQ(symbol.st_size, routine.code_bytes);
    EXPECT_EQ(ELF64_ST_TYPE(symbol.st_info), STT_FUNC);
  }
}

TEST(DebuggerList, HasTheUnwindInformationInPlace) {
  const CompiledRoutines compiled(programs());
  const ElfFile elf(*debugger_list().at(0));
  const Elf64_Shdr& text = elf.section(".text");
  EXPECT_EQ(text.sh_addr, address_of(compiled.bytes().data()));
  EXPECT_EQ(text.sh_size, compiled.bytes().size());
  const Elf64_Shdr& frames = elf.section(".eh_frame");
  EXPECT_EQ(frames.sh_addr, text.sh_addr + text.sh_size);
  EXPECT_EQ(elf.contents(frames), std::string(reinterpret_cast<const char*>(frames.sh_addr), frames.sh_size));
}

TEST(DebuggerList, ShrinksWhenAKernelDies) {
  const std::vector<const DebuggerEntry*> before = debugger_list();
  std::vector<std::unique_ptr<const CompiledRoutines>> kernels;
  for (int i = 0; i < 3; ++i) kernels.push_back(std::make_unique<CompiledRoutines>(programs()));
  const std::vector<const DebuggerEntry*> three = debugger_list();
  ASSERT_EQ(three.size(), before.size() + 3);
  kernels[1].reset();
  EXPECT_EQ(debugger_list().size(), before.size() + 2);
  EXPECT_EQ(std::ranges::count(debugger_list(), three[1]), 0);
  kernels[2].reset();
  kernels[0].reset();
  EXPECT_EQ(debugger_list(), before);
  compile_on_threads({});
  EXPECT_EQ(debugger_list(), before);
}

TEST(DebuggerList, NamesTellTheModelOfAKernel) {
  if (!best_isa()) GTEST_SKIP() << "this CPU runs no emitted code";
  const Model model = testing::random_model(1, {512, 10, 16, 4});
  const Kernel kernel = compile(model, {.backend = Backend::kJit});
  const std::vector<float> x(512 * 64);
  std::vector<int64_t> best(64);
  kernel.argmax(row_major(x.data(), 64, 512), row_major(best.data(), 64, 1));  // makes what it needs
  const int64_t n_codebooks = codegen::simplify_model(model).n_codebooks();    // what there is code for
  const std::string wanted = message("mithral::encode[C", n_codebooks, " K16 D512 M10 ", isa_name(kernel.isa()), "]");
  const auto has_name = [&](const DebuggerEntry* entry) {
    const ElfFile elf(*entry);
    return elf.contents(elf.section(".strtab")).find(wanted) != std::string::npos;
  };
  EXPECT_EQ(std::ranges::count_if(debugger_list(), has_name), 1);
}

// Children of a process while another of its threads is about to change the list, each with a watchdog.
TEST(DebuggerList, IsWholeInForkedChildren) {
  if (testing::has_address_sanitizer()) GTEST_SKIP() << testing::kAllocatorIsLockedAfterFork;
  const CompiledRoutines shared(programs());
  std::atomic<bool> done = false;
  std::thread busy([&] {
    while (!done) const GdbRegistration again(shared.code());
  });
  for (int i = 0; i < 100; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      const CompiledRoutines compiled(programs());
      const bool has_failed = debugger_list().empty() || HasFailure();
      syscall(SYS_exit_group, has_failed ? 1 : 0);  // _exit would look for leaks, without the threads left behind
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "child " << i;
  }
  done = true;
  busy.join();
}

TEST(DebuggerList, ForgetsAKernelThatCannotBeProfiled) {
  const std::vector<const DebuggerEntry*> before = debugger_list();
  EXPECT_THROW(CompiledRoutines(programs(), {.jitdump_folder = "/no/such/folder"}), InvalidArgument);
  EXPECT_EQ(debugger_list(), before);
}

}  // namespace
}  // namespace mithral::jit
