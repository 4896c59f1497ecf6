// Memory of code: what may be done with it at each moment, what many kernels take, and that it all goes back.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "codegen/model/error.h"
#include "jit/code_pages.h"
#include "jit/compiled_routines.h"
#include "runtime/host.h"
#include "runtime/kernel.h"
#include "tests/support/compiled.h"

namespace mithral::jit {
namespace {

struct Mapping {
  uintptr_t begin, end;
  std::string permissions;  // "r-xp"

  bool may(char what) const { return permissions.find(what) != std::string::npos; }
  bool holds(uintptr_t address) const { return begin <= address && address < end; }
};

std::vector<Mapping> mappings() {
  std::vector<Mapping> result;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping{};
    char permissions[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &mapping.begin, &mapping.end, permissions) != 3) continue;
    mapping.permissions = permissions;
    result.push_back(mapping);
  }
  return result;
}

std::string permissions_of(const uint8_t* address) {
  for (const Mapping& mapping : mappings()) {
    if (mapping.holds(address_of(address))) return mapping.permissions;
  }
  return "none";
}

// ---- at every step

// What was seen at the calls of mmap and mprotect by this program's own objects, the JIT's among them.
struct Watch {
  bool on = false;
  int calls = 0, reservations = 0;
  std::vector<std::string> faults;
} watch;

// Address space that they have, watched or not.
int64_t reserved_bytes = 0;

void before_change(uintptr_t start, size_t bytes, int protection) {
  if (!watch.on || (protection & PROT_WRITE) == 0) return;
  for (const Mapping& mapping : mappings()) {
    if (mapping.may('x') && mapping.begin < start + bytes && start < mapping.end) {
      watch.faults.push_back("executable pages become writable");
    }
  }
}

void after_change() {
  if (!watch.on) return;
  ++watch.calls;
  for (const Mapping& mapping : mappings()) {
    if (mapping.may('w') && mapping.may('x')) watch.faults.push_back("pages are writable and executable");
  }
}

}  // namespace
}  // namespace mithral::jit

// The linker puts these in the place of mmap, munmap and mprotect (--wrap, CMakeLists.txt).
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names
extern "C" {
void* __real_mmap(void* start, size_t bytes, int protection, int flags, int file, off_t offset);
int __real_munmap(void* start, size_t bytes);
int __real_mprotect(void* start, size_t bytes, int protection);

void* __wrap_mmap(void* start, size_t bytes, int protection, int flags, int file, off_t offset) {
  using namespace mithral::jit;
  before_change(reinterpret_cast<uintptr_t>(start), bytes, protection);
  void* result = __real_mmap(start, bytes, protection, flags, file, offset);
  if (start == nullptr) {
    reserved_bytes += static_cast<int64_t>(bytes);
    watch.reservations += watch.on;
  }
  after_change();
  return result;
}

int __wrap_munmap(void* start, size_t bytes) {
  mithral::jit::reserved_bytes -= static_cast<int64_t>(bytes);
  return __real_munmap(start, bytes);
}

int __wrap_mprotect(void* start, size_t bytes, int protection) {
  using namespace mithral::jit;
  before_change(reinterpret_cast<uintptr_t>(start), bytes, protection);
  const int result = __real_mprotect(start, bytes, protection);
  after_change();
  return result;
}
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

namespace mithral::jit {
namespace {

using testing::programs;
using Piece = std::unique_ptr<const CompiledRoutines>;

// A routine by itself, and all that a kernel begins with.
Piece one_routine() { return std::make_unique<CompiledRoutines>(std::span(programs()).first(1)); }
Piece four_routines() { return std::make_unique<CompiledRoutines>(programs()); }

TEST(CodeMemory, IsNeverWritableAndExecutable) {
  watch = {.on = true};
  std::vector<Piece> pieces;
  for (int i = 0; i < 10; ++i) pieces.push_back(i % 2 == 0 ? one_routine() : four_routines());
  pieces.erase(pieces.begin() + 3, pieces.begin() + 6);
  for (int i = 0; i < 10; ++i) pieces.push_back(one_routine());
  const CodeMemory large(std::vector<uint8_t>((CodeRegion::kPages + 1) * kPageBytes, kInt3));
  watch.on = false;
  EXPECT_GE(watch.calls, 2 * 21) << "the JIT's calls are not seen";
  EXPECT_EQ(watch.faults, std::vector<std::string>());
  for (const Piece& piece : pieces) EXPECT_EQ(permissions_of(piece->bytes().data()), "r-xp");
  EXPECT_EQ(permissions_of(large.data() + large.size() - 1), "r-xp");
}

// ---- of many

TEST(CodeMemory, ManyPiecesShareARegion) {
  constexpr size_t kPieces = 1000;
  watch = {.on = true};
  const size_t before = mappings().size();
  std::vector<Piece> pieces;
  size_t pages = 0;
  for (size_t i = 0; i < kPieces; ++i) {
    pieces.push_back(one_routine());
    pages += pieces.back()->code().memory.size() / kPageBytes + 1;
  }
  watch.on = false;
  EXPECT_LE(static_cast<size_t>(watch.reservations), pages / CodeRegion::kPages * 2) << "each is registered";
  EXPECT_LE(mappings().size(), before + kPieces / 4) << "the system has 65530 for a process";
}

TEST(CodeMemory, GapsAreFilled) {
  std::vector<Piece> pieces;
  for (int i = 0; i < 100; ++i) pieces.push_back(one_routine());
  for (int i = 0; i < 100; i += 2) pieces[i].reset();
  watch = {.on = true};
  for (int i = 0; i < 100; i += 2) pieces[i] = one_routine();
  watch.on = false;
  EXPECT_EQ(watch.reservations, 0);
}

// ---- afterwards

template <typename Which>
size_t bytes_of(Which which) {
  size_t bytes = 0;
  for (const Mapping& mapping : mappings()) bytes += which(mapping) ? mapping.end - mapping.begin : 0;
  return bytes;
}
size_t executable_bytes() {
  return bytes_of([](const Mapping& mapping) { return mapping.may('x'); });
}
size_t address_space() {
  return bytes_of([](const Mapping&) { return true; });
}
TEST(CodeMemory, OfADeadPieceIsGoneAtOnce) {
  const Piece neighbour = one_routine();
  Piece piece = one_routine();
  const uint8_t* code = piece->bytes().data();
  ASSERT_EQ(permissions_of(code), "r-xp");
  piece.reset();
  EXPECT_NE(permissions_of(code), "r-xp");
  EXPECT_EQ(permissions_of(neighbour->bytes().data()), "r-xp");
}

// A program that makes and forgets kernels for ever: a thousand of them, a few alive at a time, in no order.
TEST(CodeMemory, GoesBackWhenKernelsDie) {
  if (!best_isa()) GTEST_SKIP() << "this CPU runs no emitted code";
  const Model model = testing::random_model(1, {64, 10, 8, 4});
  std::mt19937_64 rng(1);
  const auto compile_and_forget = [&](int count) {
    std::vector<Kernel> alive;
    for (int i = 0; i < count; ++i) {
      alive.push_back(compile(model, {.backend = Backend::kJit}));
      if (alive.size() == 20) alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(rng() % alive.size()));
    }
  };
  compile_and_forget(100);  // the heap has its size
  const int64_t reserved = reserved_bytes;
  const size_t executable = executable_bytes(), space = address_space(), maps = mappings().size();
  compile_and_forget(1000);
  EXPECT_EQ(reserved_bytes, reserved);
  EXPECT_EQ(executable_bytes(), executable);
  EXPECT_LE(mappings().size(), maps + 2) << "the heap's";
  EXPECT_LE(address_space(), space + (size_t{1} << 20)) << "some of the heap's may stay";
}

TEST(CodeMemory, OfManyPiecesGoesBack) {
  const int64_t reserved = reserved_bytes;
  const size_t executable = executable_bytes(), maps = mappings().size();
  std::vector<Piece> pieces;
  for (int i = 0; i < 1000; ++i) pieces.push_back(i % 3 == 0 ? four_routines() : one_routine());
  EXPECT_GE(executable_bytes(), executable + 1000 * kPageBytes);
  std::shuffle(pieces.begin(), pieces.end(), std::mt19937_64(2));
  pieces.resize(1);
  EXPECT_LE(executable_bytes(), executable + 4 * CodeRegion::kPages * kPageBytes);
  pieces.clear();
  EXPECT_EQ(reserved_bytes, reserved);
  EXPECT_EQ(executable_bytes(), executable);
  EXPECT_LE(mappings().size(), maps + 2) << "the heap's";
}

}  // namespace
}  // namespace mithral::jit
