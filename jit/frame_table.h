// The unwind information of all code in a region of memory, as the system's unwinder gets it.
//
// Registering costs what grows with the number of registrations: libgcc before 13 keeps them in a list, which it walks
// at each new one, at each end of one and for every frame of an exception. So a region is registered once, with an FDE
// for each of its pages that covers nothing. A routine that comes into the region fills in the FDE of the page where it
// starts; one that goes empties it.
//
// The unwinder sorts its pointers to FDEs once and reads them anew at each search, in other threads too. What is
// changed must therefore keep them sorted, and searches for other code right, at every moment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "jit/emitted_code.h"

namespace mithral::jit {

class FrameTable {
 public:
  // Of the pages from `code` on. The caller has the process lock, then and when the table ends.
  FrameTable(const uint8_t* code, size_t n_pages);
  ~FrameTable();
  FrameTable(const FrameTable&) = delete;
  FrameTable& operator=(const FrameTable&) = delete;

  // A routine at the start of one of the pages, before it is called. Pages of different routines may be changed at
  // once.
  void add(const uint8_t* start, const EmittedRoutine& routine);

  // All routines in pages of which none is executed any more.
  void remove(const uint8_t* start, size_t n_pages);

 private:
  struct Fde;
  Fde& at(const uint8_t* page) const;

  const uint8_t* code_;
  size_t n_pages_;
  std::unique_ptr<Fde[]> section_;  // the CIE, as long as an FDE; an FDE a page; the terminator
};

}  // namespace mithral::jit
