/* The start: from the ROM, on its page tables and stack, to the first instruction of the program. */
#include "kernel.h"

const struct params* params;

struct __attribute__((packed)) task_state {
  u32 reserved0;
  u64 rsp0; /* the stack of traps from the program */
  u64 reserved1[10];
  u32 io_map;
};
struct __attribute__((packed)) gate {
  u16 low, selector, type, middle;
  u32 high, reserved;
};
struct __attribute__((packed)) table_pointer {
  u16 limit;
  u64 base;
};

static struct task_state task_state;
static u64 gdt[8] __attribute__((aligned(16)));
static struct gate idt[kVectors] __attribute__((aligned(16)));

void set_trap_stack(u64 top) { task_state.rsp0 = top; }

static void load_segments(void) {
  const u64 state = (u64)&task_state;
  task_state.io_map = sizeof task_state << 16;
  gdt[kKernelCode / 8] = 0x00af9a000000ffff;
  gdt[kKernelData / 8] = 0x00cf92000000ffff;
  gdt[kUserData / 8] = 0x00cff2000000ffff;
  gdt[kUserCode / 8] = 0x00affa000000ffff;
  gdt[kTaskState / 8] = (sizeof task_state - 1) | (state & 0xffffff) << 16 | 0x89ul << 40 | (state >> 24 & 0xff) << 56;
  gdt[kTaskState / 8 + 1] = state >> 32;
  const struct table_pointer pointer = {sizeof gdt - 1, (u64)gdt};
  __asm__ volatile("lgdt %0" : : "m"(pointer));
  __asm__ volatile(
      "pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:"
      "movw %w1, %%ss; movw %w1, %%ds; movw %w1, %%es; ltr %w2"
      :
      : "i"(kKernelCode), "r"(kKernelData), "r"(kTaskState)
      : "rax", "memory");
}

static void load_traps(void) {
  enum { kBreakpoint = 3, kGate = 0x8e00, kUserMayRaise = 0x6000 };
  for (u64 i = 0; i < kVectors; ++i) {
    const u64 stub = stub_table[i];
    const u16 type = kGate | (i == kBreakpoint ? kUserMayRaise : 0);
    idt[i] = (struct gate){(u16)stub, kKernelCode, type, (u16)(stub >> 16), (u32)(stub >> 32), 0};
  }
  const struct table_pointer pointer = {sizeof idt - 1, (u64)idt};
  __asm__ volatile("lidt %0" : : "m"(pointer));
}

static u32 cpuid(u32 leaf, char result) {
  u32 eax = leaf, ebx, ecx = 0, edx;
  __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  return result == 'a' ? eax : ecx;
}

/* Vector registers: SSE, and by XSAVE what else this CPU has of AVX and the three parts of AVX-512, as far as the option
 * --xcr0 allows. Returns what XSAVE saves. */
static u64 enable_vectors(void) {
  enum { kEmulate = 4, kTaskSwitched = 8, kWriteProtect = 0x10000, kMonitor = 2, kNumericError = 0x20 }; /* of cr0 */
  enum { kFxsr = 0x200, kSimdExceptions = 0x400, kXsave = 0x40000 };                                     /* of cr4 */
  enum { kHasXsave = 1 << 26 };
  u64 cr0, cr4;
  __asm__ volatile("mov %%cr0, %0; mov %%cr4, %1" : "=r"(cr0), "=r"(cr4));
  cr0 = (cr0 & ~(u64)(kEmulate | kTaskSwitched | kWriteProtect)) | kMonitor | kNumericError;
  const int has_xsave = (cpuid(1, 'c') & kHasXsave) != 0;
  cr4 |= kFxsr | kSimdExceptions | (has_xsave ? kXsave : 0);
  __asm__ volatile("mov %0, %%cr0; mov %1, %%cr4" : : "r"(cr0), "r"(cr4));
  const u32 mxcsr = 0x1f80;
  __asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
  if (!has_xsave) return 0;
  const u32 state = cpuid(13, 'a') & XCR0;
  __asm__ volatile("xsetbv" : : "c"(0), "a"(state), "d"(0));
  return state;
}

static void enable_syscalls(void) {
  write_msr(kEfer, 0x501); /* system calls, long mode */
  write_msr(kStar, (u64)kKernelCode << 32);
  write_msr(kLstar, (u64)syscall_entry);
  write_msr(kFmask, 0x40700); /* cleared on entry: IF, TF, DF, AC */
}

void kernel_main(const struct params* p) {
  params = p;
  load_segments();
  load_traps();
  const u64 xsave_mask = enable_vectors();
  enable_syscalls();
  __asm__ volatile("mov %0, %%cr3" : : "r"(map_memory()) : "memory");
  start_first_thread(xsave_mask);

  struct regs* r = current_regs();
  memset(r, 0, sizeof *r);
  r->rip = params->entry;
  r->cs = kUserCode;
  r->rflags = 0x202; /* interrupts on */
  r->rsp = params->stack;
  r->ss = kUserData;
  __asm__ volatile("mov %0, %%rsp; jmp return_to_user" : : "r"(r) : "memory");
  __builtin_unreachable();
}
