/* Pages. One page table entry and one state byte per page of the machine; what the program maps lies where the memory
 * is. */
#include <asm/errno.h>
#include <asm/mman.h>

#include "kernel.h"

enum state { kClean, kUsed, kDirty }; /* free and zero; in use; free, to be zeroed before the next use */

static u64* page_table;
static u8* page_state;
static u64 first_page, last_page, next_page; /* of mappings; where the search goes on */
static u64 break_start, break_now, break_end;

static u64 pages_of(u64 bytes) { return (bytes + kPage - 1) / kPage; }
static u64 align_page(u64 address) { return pages_of(address) * kPage; }
static void* at_page(u64 page) { return (void*)(page * kPage); }

static void set_page(u64 page, u64 flags) {
  page_table[page] = page * kPage | flags;
  __asm__ volatile("invlpg (%0)" : : "r"(page * kPage) : "memory");
}

/* There is no execute-only or write-only memory, and everything readable is executable. */
static u64 flags_of(u64 protection) {
  if (!(protection & (PROT_READ | PROT_WRITE | PROT_EXEC))) return 0;
  return kPresent | kUser | (protection & PROT_WRITE ? kWrite : 0);
}

int is_mapped(u64 address) { return address < params->memory && (page_table[address / kPage] & kPresent); }

static void take_pages(u64 page, u64 n, u64 flags) {
  for (u64 i = page; i < page + n; ++i) {
    if (page_state[i] == kDirty) {
      set_page(i, kPresent | kWrite);
      memset(at_page(i), 0, kPage);
    }
    page_state[i] = kUsed;
    set_page(i, flags);
  }
}

static void free_pages(u64 page, u64 n) {
  for (u64 i = page; i < page + n; ++i) {
    if (i < first_page || i >= last_page || page_state[i] != kUsed) continue;
    page_state[i] = kDirty;
    set_page(i, 0);
  }
}

/* n free pages in a row: behind the last ones found, or else anywhere. 0: there are none. */
static u64 find_pages(u64 n) {
  const u64 starts[] = {next_page, first_page};
  for (int round = 0; round < 2; ++round) {
    u64 run = 0;
    for (u64 page = starts[round]; page < last_page; ++page) {
      run = page_state[page] == kUsed ? 0 : run + 1;
      if (run == n) {
        next_page = page + 1;
        return next_page - n;
      }
    }
  }
  return 0;
}

/* Writable segments go last, so that a page that two of them share is writable. */
static void map_segments(void) {
  const struct segment* segments = (const struct segment*)params->segments;
  for (u64 writable = 0; writable <= PROT_WRITE; writable += PROT_WRITE) {
    for (u64 i = 0; i < params->segment_count; ++i) {
      const struct segment* s = &segments[i];
      if ((s->protection & PROT_WRITE) != writable) continue;
      for (u64 page = s->start / kPage; page < pages_of(s->end); ++page) set_page(page, flags_of(s->protection));
    }
  }
}

/* The tables lie behind the image. Then comes the break, which may grow into a quarter of what is left, then mappings.
 */
u64 map_memory(void) {
  const u64 page_count = params->memory / kPage, large_pages = (page_count + 511) / 512;
  u64* pml4 = (u64*)align_page(params->free_start);
  u64* pdpt = pml4 + 512;
  u64* directories = pdpt + 512; /* four of them, for 4 GiB */
  page_table = directories + 4 * 512;
  page_state = (u8*)(page_table + large_pages * 512);
  const u64 end = align_page((u64)page_state + page_count);

  pml4[0] = (u64)pdpt | kPresent | kWrite | kUser;
  for (u64 i = 0; i < 4; ++i) pdpt[i] = (u64)(directories + 512 * i) | kPresent | kWrite | kUser;
  for (u64 i = 0; i < large_pages; ++i) directories[i] = (u64)(page_table + 512 * i) | kPresent | kWrite | kUser;
  directories[kApic >> 21] = kApic | 0x98 | kPresent | kWrite; /* 2 MiB, uncached */

  for (u64 page = 1; page < end / kPage; ++page) {
    page_state[page] = kUsed;
    set_page(page, kPresent | kWrite);
  }
  map_segments();
  break_start = break_now = end;
  break_end = align_page(end + (params->memory - end) / 4);
  first_page = next_page = break_end / kPage;
  last_page = page_count;
  return (u64)pml4;
}

i64 sys_mmap(u64 address, u64 size, u64 protection, u64 flags, u64 fd, u64 offset) {
  const u64 n = pages_of(size);
  u64 file_size = 0;
  const u8* file = flags & MAP_ANONYMOUS ? 0 : file_bytes(fd, &file_size);
  if (!file && !(flags & MAP_ANONYMOUS)) return -EBADF;
  if (!n) return -EINVAL;
  u64 page = address / kPage;
  if (flags & MAP_FIXED) {
    if (page < first_page || page + n > last_page) return -ENOMEM;
    free_pages(page, n);
  } else {
    page = find_pages(n);
    if (!page) return -ENOMEM;
  }
  take_pages(page, n, kPresent | kWrite);
  if (offset < file_size) {
    memcpy(at_page(page), file + offset, file_size - offset < size ? file_size - offset : size);
  }
  for (u64 i = page; i < page + n; ++i) set_page(i, flags_of(protection));
  return (i64)(page * kPage);
}

i64 sys_munmap(u64 address, u64 size) {
  free_pages(address / kPage, pages_of(size));
  return 0;
}

i64 sys_mprotect(u64 address, u64 size, u64 protection) {
  const u64 page = address / kPage, end = page + pages_of(size);
  if (end > last_page) return -ENOMEM;
  for (u64 i = page; i < end; ++i) {
    if (i >= first_page && page_state[i] != kUsed) return -ENOMEM;
    set_page(i, flags_of(protection));
  }
  return 0;
}

i64 sys_madvise(u64 address, u64 size, u64 advice) {
  if (advice != MADV_DONTNEED) return 0;
  for (u64 i = address / kPage; i < address / kPage + pages_of(size); ++i) {
    if (i >= first_page && i < last_page && page_state[i] == kUsed && (page_table[i] & kPresent)) {
      memset(at_page(i), 0, kPage);
    }
  }
  return 0;
}

i64 sys_brk(u64 to) {
  if (to < break_start || to > break_end) return (i64)break_now;
  const u64 old = pages_of(break_now), page = pages_of(to);
  if (page > old) take_pages(old, page - old, kPresent | kWrite | kUser);
  for (u64 i = page; i < old; ++i) {
    page_state[i] = kDirty;
    set_page(i, 0);
  }
  break_now = to;
  return (i64)to;
}
