/* The system calls: a table from Linux's numbers to functions. One that is not there is reported and fails with ENOSYS.
 */
#include <asm/errno.h>
#include <asm/prctl.h>
#include <asm/unistd.h>
#include <linux/time.h>

#include "kernel.h"

static i64 sys_nothing(void) { return 0; }
static i64 sys_getpid(void) { return 1; }

static i64 sys_rt_sigprocmask(u64 how, u64 set, u64 old) {
  (void)how, (void)set;
  if (old) *(u64*)old = 0;
  return 0;
}

/* Signals are not delivered: one that the program raises ends the machine as its default action would. */
static i64 sys_tgkill(u64 process, u64 thread, u64 signal) {
  (void)process, (void)thread;
  say("emulated machine: the program raised signal ");
  say_number(signal);
  say("\n");
  leave(128 + (int)signal);
}

static i64 sys_exit_group(u64 status) { leave((int)(status & 255)); }

static i64 sys_clock_gettime(u64 clock, u64 to) {
  const int real = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  const u64 t = now() + (real ? params->epoch : 0), second = 1000000000;
  ((u64*)to)[0] = t / second;
  ((u64*)to)[1] = t % second;
  return 0;
}

static i64 sys_gettimeofday(u64 to) {
  sys_clock_gettime(CLOCK_REALTIME, to);
  ((u64*)to)[1] /= 1000;
  return 0;
}

static i64 sys_time(void) { return (i64)((params->epoch + now()) / 1000000000); }

static i64 sys_prlimit64(u64 process, u64 which, u64 set, u64 old) {
  (void)process, (void)set;
  const u64 stack_limit = 3, limit = which == stack_limit ? 8ul << 20 : ~0ul;
  if (old) ((u64*)old)[0] = ((u64*)old)[1] = limit;
  return 0;
}

static i64 sys_arch_prctl(u64 what, u64 value) {
  if (what != ARCH_SET_FS) return -EINVAL;
  write_msr(kFsBase, value);
  return 0;
}

/* One CPU. */
static i64 sys_sched_getaffinity(u64 process, u64 size, u64 to) {
  (void)process;
  if (size < 8) return -EINVAL;
  *(u64*)to = 1;
  return 8;
}

/* The same bytes in every run. */
static i64 sys_getrandom(u64 to, u64 size) {
  static u64 state = 0x9e3779b97f4a7c15ul;
  for (u64 i = 0; i < size; ++i) {
    state = state * 6364136223846793005ul + 1442695040888963407ul;
    ((u8*)to)[i] = (u8)(state >> 56);
  }
  return (i64)size;
}

/* Every function is called with six arguments in registers, and looks at those that it has. */
typedef i64 (*call)(u64, u64, u64, u64, u64, u64);
#define CALL(name) [__NR_##name] = (call)sys_##name
#define IGNORED(name) [__NR_##name] = (call)sys_nothing
static const call calls[] = {
    CALL(mmap),
    CALL(munmap),
    CALL(mprotect),
    CALL(madvise),
    CALL(brk),
    CALL(clone),
    CALL(exit),
    CALL(exit_group),
    CALL(futex),
    CALL(sched_yield),
    CALL(gettid),
    CALL(set_tid_address),
    CALL(arch_prctl),
    CALL(sched_getaffinity),
    CALL(getpid),
    CALL(tgkill),
    CALL(open),
    CALL(openat),
    CALL(close),
    CALL(read),
    CALL(pread64),
    CALL(write),
    CALL(writev),
    CALL(lseek),
    CALL(fstat),
    CALL(newfstatat),
    CALL(access),
    CALL(ioctl),
    CALL(readlink),
    CALL(readlinkat),
    CALL(getcwd),
    CALL(clock_gettime),
    CALL(gettimeofday),
    CALL(time),
    CALL(prlimit64),
    CALL(getrandom),
    CALL(rt_sigprocmask),
    IGNORED(rt_sigaction),
    IGNORED(set_robust_list),
    IGNORED(prctl),
};

/* glibc does without these. */
static int is_optional(u64 number) { return number == __NR_rseq || number == __NR_clone3; }

void do_syscall(struct regs* r) {
  const u64 number = r->rax;
  const call function = number < sizeof calls / sizeof *calls ? calls[number] : 0;
  const i64 result = function ? function(r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9) : -ENOSYS;
  if (result == -ENOSYS && !is_optional(number)) {
    say("emulated machine: there is no system call ");
    say_number(number);
    say(" here, or not in this form\n");
  }
  r->rax = (u64)result;
}
