#include "jit/frame_table.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <vector>

#include "codegen/model/error.h"
#include "jit/byte_writer.h"
#include "jit/code_pages.h"
#include "jit/unwind_info.h"

namespace mithral::jit {
namespace {

// The unwinder of glibc's backtrace(), of thread cancellation, and of everything that links it dynamically. Looked up,
// because a library that links its own unwinder statically, as the Python package does, would register with that one.
struct Unwinder {
  void (*add)(const void* eh_frame) = nullptr;
  void (*remove)(const void* eh_frame) = nullptr;
  void* (*find_function)(void* code) = nullptr;

  bool is_complete() const { return add != nullptr && remove != nullptr && find_function != nullptr; }
};

// The caller has the process lock: a fork in the middle of this would leave it unfinished in the child for ever.
const Unwinder& unwinder() {
  static const Unwinder found = [] {
    Unwinder result;  // stays empty in a program without it, where nothing would ask
    if (void* library = dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_LOCAL)) {
      result.add = reinterpret_cast<decltype(result.add)>(dlsym(library, "__register_frame"));
      result.remove = reinterpret_cast<decltype(result.remove)>(dlsym(library, "__deregister_frame"));
      result.find_function =
          reinterpret_cast<decltype(result.find_function)>(dlsym(library, "_Unwind_FindEnclosingFunction"));
    }
    return result;
  }();
  return found;
}

uint64_t address(const uint8_t* code) { return reinterpret_cast<uintptr_t>(code); }

// The unwinder may be reading it.
void set(uint64_t& field, uint64_t value) { std::atomic_ref(field).store(value, std::memory_order_release); }

}  // namespace

// An .eh_frame record in memory. Its first two fields alone make it a CIE or the terminator.
struct FrameTable::Fde {
  uint32_t bytes_behind;  // this field
  uint32_t cie;           // its distance from here
  uint64_t code;
  uint64_t code_bytes;
  uint8_t augmentation_bytes;
  uint8_t changes[63];  // of the frame: pushes and pops of six registers take 58
};

FrameTable::FrameTable(const uint8_t* code, size_t n_pages)
    : code_(code), n_pages_(n_pages), section_(new Fde[n_pages + 2]{}) {
  static_assert(sizeof(Fde) == 88, "the records lie one behind another");
  ByteWriter cie;
  put_cie(cie, AddressForm::kAbsolute, sizeof(Fde));
  std::memcpy(&section_[0], cie.take().data(), sizeof(Fde));
  for (size_t i = 0; i < n_pages; ++i) {
    Fde& fde = section_[1 + i];
    fde.bytes_behind = sizeof(Fde) - sizeof fde.bytes_behind;
    fde.cie = static_cast<uint32_t>((1 + i) * sizeof(Fde) + offsetof(Fde, cie));
    fde.code = address(code + i * kPageBytes);
    fde.code_bytes = kPageBytes;  // what is registered is the range of them all
  }
  if (!unwinder().is_complete()) return;
  unwinder().add(&section_[0]);
  // The first look into a section makes the unwinder allocate an index of it. Now, not in a handler of a crash.
  unwinder().find_function(const_cast<uint8_t*>(code + 1));
  remove(code, n_pages);
}

FrameTable::~FrameTable() {
  if (!unwinder().is_complete()) return;
  for (size_t i = 0; i < n_pages_; ++i) section_[1 + i].code_bytes = kPageBytes;  // libgcc finds it by its range
  unwinder().remove(&section_[0]);
}

FrameTable::Fde& FrameTable::at(const uint8_t* page) const { return section_[1 + (page - code_) / kPageBytes]; }

void FrameTable::add(const uint8_t* start, const EmittedRoutine& routine) {
  ByteWriter lines;
  put_frame_changes(lines, routine);
  const std::vector<uint8_t> changes = lines.take();
  Fde& fde = at(start);
  ensure(changes.size() <= sizeof fde.changes, "a frame is too large for its unwind information");
  const auto rest = std::ranges::copy(changes, fde.changes).out;
  std::fill(rest, std::end(fde.changes), kNop);
  // Searches inside the routine must turn left at its later pages, all others as before: those cover nothing still.
  const uint8_t* end = start + routine.code_bytes;
  for (const uint8_t* page = start + kPageBytes; page < end; page += kPageBytes) set(at(page).code, address(end));
  set(fde.code_bytes, routine.code_bytes);
}

void FrameTable::remove(const uint8_t* start, size_t n_pages) {
  for (const uint8_t* page = start; page < start + n_pages * kPageBytes; page += kPageBytes) {
    set(at(page).code_bytes, 0);
    set(at(page).code, address(page));
  }
}

}  // namespace mithral::jit
