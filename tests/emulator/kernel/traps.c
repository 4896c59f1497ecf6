/* Interrupts and exceptions. The timer switches threads; everything else ends the machine, with a report and the exit
 * status that a shell gives a program that died of the signal. */
#include <asm/signal.h>

#include "kernel.h"

enum { kPageFault = 14 };

static int signal_of(u64 vector) {
  switch (vector) {
    case 0: return SIGFPE;  /* division */
    case 1: return SIGTRAP; /* debug */
    case 3: return SIGTRAP; /* breakpoint */
    case 6: return SIGILL;  /* instruction this CPU does not have */
    case 16: return SIGFPE; /* x87 */
    case 17: return SIGBUS; /* alignment */
    case 19: return SIGFPE; /* SSE */
    default: return SIGSEGV;
  }
}

static void say_register(const char* name, u64 value) {
  say(name);
  say_hex(value);
}

static void say_code(u64 rip) {
  say("\n  code");
  for (u64 at = rip; at < rip + 16 && is_mapped(at); ++at) say_register(" ", *(const u8*)at);
}

void do_trap(struct regs* r) {
  const int from_program = r->cs & 3;
  if (r->vector == kTimerVector) {
    ((volatile u32*)(u64)kApic)[0xb0 / 4] = 0; /* end of interrupt */
    if (from_program) schedule();
    return;
  }
  u64 address;
  __asm__ volatile("mov %%cr2, %0" : "=r"(address));
  const int signal = signal_of(r->vector);
  say(from_program ? "emulated machine: the program died of signal "
                   : "emulated machine: a system call died of signal ");
  say_number((u64)signal);
  say(", exception ");
  say_number(r->vector);
  say_register(", error ", trap_error);
  say_register(", rip ", r->rip);
  if (r->vector == kPageFault) say_register(", address ", address);
  say_code(r->rip);
  say_register("\n  rsp ", r->rsp);
  say_register(" rax ", r->rax);
  say_register(" rcx ", r->rcx);
  say_register(" rdx ", r->rdx);
  say_register(" rsi ", r->rsi);
  say_register(" rdi ", r->rdi);
  say("\n");
  leave(128 + signal);
}
