/* Threads: they share the machine's one CPU. A thread runs in the kernel until it waits, ends or goes back to the
 * program; the timer, which runs once there is a second thread, switches only what it found in the program. */
#include <asm/errno.h>
#include <linux/futex.h>
#include <linux/sched.h>

#include "kernel.h"

enum { kThreads = 64, kStack = 16384, kTimerTicks = 100000 };
enum thread_state { kNone, kRunnable, kWaiting, kEnded };

struct thread {
  u8 vectors[3072] __attribute__((aligned(64))); /* vector registers while another thread runs */
  u64 sp, fs, gs;                                /* likewise */
  u64 stack_top;                                 /* of its kernel stack */
  u64 clear_tid;                                 /* zeroed and woken at its end: this is how others join it */
  u64 futex;                                     /* address it waits at */
  u32 futex_bits;
  int id;
  enum thread_state state;
};

static struct thread threads[kThreads];
static u8 stacks[kThreads][kStack] __attribute__((aligned(64)));
static struct thread* current = threads;
static int next_id = 1, live_threads;
static u64 xsave_mask;
u64 current_stack;

u64 now(void) {
  u32 low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return ((u64)high << 32 | low) * 1000 / params->ticks_per_us;
}

static void save_vectors(struct thread* t) {
  if (xsave_mask == 0) {
    __asm__ volatile("fxsave64 (%0)" : : "r"(t->vectors) : "memory");
  } else {
    __asm__ volatile("xsave64 (%0)" : : "r"(t->vectors), "a"((u32)xsave_mask), "d"(0) : "memory");
  }
}
static void load_vectors(const struct thread* t) {
  if (xsave_mask == 0) {
    __asm__ volatile("fxrstor64 (%0)" : : "r"(t->vectors) : "memory");
  } else {
    __asm__ volatile("xrstor64 (%0)" : : "r"(t->vectors), "a"((u32)xsave_mask), "d"(0) : "memory");
  }
}

static struct thread* new_thread(void) {
  for (struct thread* t = threads; t < threads + kThreads; ++t) {
    if (t->state != kNone) continue;
    memset(t, 0, sizeof *t);
    t->id = next_id++;
    t->state = kRunnable;
    t->stack_top = (u64)stacks[t - threads] + kStack;
    ++live_threads;
    return t;
  }
  return 0;
}

static struct regs* regs_of(const struct thread* t) { return (struct regs*)(t->stack_top - sizeof(struct regs)); }
struct regs* current_regs(void) {
  return regs_of(current);
}

static void use_stack_of(const struct thread* t) {
  current_stack = t->stack_top;
  set_trap_stack(t->stack_top);
}

void start_first_thread(u64 mask) {
  xsave_mask = mask;
  current = new_thread();
  use_stack_of(current);
}

static void start_timer(void) {
  volatile u32* apic = (volatile u32*)(u64)kApic;
  apic[0xf0 / 4] = 0x100 | kSpuriousVector; /* on */
  apic[0x3e0 / 4] = 0xb;                    /* divide by 1 */
  apic[0x320 / 4] = 0x20000 | kTimerVector; /* periodic */
  apic[0x380 / 4] = kTimerTicks;
}

static struct thread* next_runnable(void) {
  const long at = current - threads;
  for (int i = 1; i <= kThreads; ++i) {
    struct thread* t = &threads[(at + i) % kThreads];
    if (t->state == kRunnable) return t;
  }
  stop("every thread waits for ever");
}

void schedule(void) {
  struct thread *next = next_runnable(), *old = current;
  if (next == old) return;
  old->fs = read_msr(kFsBase);
  old->gs = read_msr(kGsBase);
  if (old->state == kEnded) {
    old->state = kNone;
  } else {
    save_vectors(old);
  }
  current = next;
  use_stack_of(next);
  write_msr(kFsBase, next->fs);
  write_msr(kGsBase, next->gs);
  load_vectors(next);
  switch_stacks(&old->sp, next->sp);
}

static i64 wake(u64 address, u64 most, u32 bits) {
  u64 n = 0;
  for (struct thread* t = threads; t < threads + kThreads && n < most; ++t) {
    if (t->state != kWaiting || t->futex != address || !(t->futex_bits & bits)) continue;
    t->state = kRunnable;
    ++n;
  }
  return (i64)n;
}

i64 sys_futex(u64 address, u64 operation, u64 value, u64 timeout, u64 address2, u64 bits) {
  (void)address2;
  const u64 command = operation & FUTEX_CMD_MASK;
  const u32 mask = command == FUTEX_WAIT || command == FUTEX_WAKE ? FUTEX_BITSET_MATCH_ANY : (u32)bits;
  if (command == FUTEX_WAKE || command == FUTEX_WAKE_BITSET) return wake(address, value, mask);
  if ((command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET) || timeout) return -ENOSYS;
  if (*(volatile u32*)address != (u32)value) return -EAGAIN;
  current->futex = address;
  current->futex_bits = mask;
  current->state = kWaiting;
  schedule();
  return 0;
}

/* The child's kernel stack: its registers, and below them what switch_stacks pops. */
static void prepare_stack(struct thread* t, u64 user_stack) {
  struct regs* regs = regs_of(t);
  *regs = *current_regs();
  regs->rax = 0;
  regs->rsp = user_stack;
  u64* sp = (u64*)regs;
  *--sp = (u64)return_to_user;
  for (int i = 0; i < 6; ++i) *--sp = 0;
  t->sp = (u64)sp;
}

i64 sys_clone(u64 flags, u64 stack, u64 parent_tid, u64 child_tid, u64 tls) {
  if (!(flags & CLONE_THREAD) || !(flags & CLONE_SETTLS)) return -ENOSYS;
  struct thread* t = new_thread();
  if (!t) return -EAGAIN;
  save_vectors(t);
  prepare_stack(t, stack);
  t->gs = read_msr(kGsBase);
  t->fs = tls;
  if (flags & CLONE_PARENT_SETTID) *(u32*)parent_tid = (u32)t->id;
  if (flags & CLONE_CHILD_SETTID) *(u32*)child_tid = (u32)t->id;
  if (flags & CLONE_CHILD_CLEARTID) t->clear_tid = child_tid;
  if (live_threads == 2) start_timer();
  return t->id;
}

i64 sys_exit(u64 status) {
  if (current->clear_tid) {
    *(u32*)current->clear_tid = 0;
    wake(current->clear_tid, 1, FUTEX_BITSET_MATCH_ANY);
  }
  if (--live_threads == 0) leave((int)(status & 255));
  current->state = kEnded;
  schedule();
  stop("an ended thread ran");
}

i64 sys_sched_yield(void) {
  schedule();
  return 0;
}

i64 sys_gettid(void) { return current->id; }

i64 sys_set_tid_address(u64 address) {
  current->clear_tid = address;
  return current->id;
}
