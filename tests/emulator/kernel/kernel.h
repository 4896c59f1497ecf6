/* The kernel of the emulated machine: runs one static x86-64 Linux program and gives it the system calls that a test
 * program makes. There is no fork, no signal and no second program: a fault or an abort ends the machine.
 *
 *     main.c      start: page tables, descriptor tables, CPU features, then the program
 *     output.c    bytes, text and the exit status, out of the machine
 *     memory.c    pages: mmap, mprotect, brk
 *     threads.c   clone, futex, switching
 *     files.c     read-only files in memory, standard output and error
 *     syscalls.c  the table of system calls, and those that fit nowhere else
 *     traps.c     faults and the timer
 *
 * All memory is mapped at its physical address, in pages of 4 KiB. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

/* Written by image.py (its PARAMS); the ROM reads the first four. */
struct params {
  u32 blocks;           /* of 128 KiB, that the image has */
  u32 boot_page_tables; /* for the way from the ROM to main.c */
  u32 boot_stack;
  u32 kernel_entry;
  u64 memory;     /* bytes the machine has */
  u64 entry;      /* of the program */
  u64 stack;      /* its first rsp: arguments, environment and auxiliary vector lie there */
  u64 free_start; /* nothing is in memory from here on */
  u64 segments;   /* struct segment[segment_count] */
  u64 segment_count;
  u64 files; /* struct initial_file[file_count] */
  u64 file_count;
  u64 ticks_per_us; /* of the time stamp counter, which counts instructions */
  u64 epoch;        /* ns since 1970 at start */
  u64 exe;          /* what /proc/self/exe links to */
};
struct segment {
  u64 start, end, protection;
};
struct initial_file {
  u64 path, data, size;
};

/* The program's registers, on top of its thread's kernel stack (entry.S). */
struct regs {
  u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
  u64 vector, rip, cs, rflags, rsp, ss;
};

enum { kPage = 4096 };
enum { kPresent = 1, kWrite = 2, kUser = 4 }; /* of a page table entry */
enum { kKernelCode = 0x08, kKernelData = 0x10, kUserData = 0x23, kUserCode = 0x2b, kTaskState = 0x30 }; /* selectors */
enum { kTimerVector = 32, kSpuriousVector = 33, kVectors = 34 };
enum { kApic = 0xfee00000u };

extern const struct params* params;

/* entry.S */
extern const u64 stub_table[kVectors];
extern u64 trap_error;
void syscall_entry(void);
void return_to_user(void);
void switch_stacks(u64* old, u64 next);

/* The bases of fs and gs are model-specific registers: the instructions for them are newer than some CPU models. */
enum msr {
  kEfer = 0xc0000080u,
  kStar = 0xc0000081u,
  kLstar = 0xc0000082u,
  kFmask = 0xc0000084u,
  kFsBase = 0xc0000100u,
  kGsBase = 0xc0000101u
};

static inline u64 read_msr(enum msr msr) {
  u32 low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
  return (u64)high << 32 | low;
}
static inline void write_msr(enum msr msr, u64 v) {
  __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)));
}

/* output.c */
void* memset(void* to, int value, u64 n);
void* memcpy(void* to, const void* from, u64 n);
int same_text(const char* a, const char* b);
u64 text_length(const char* s);
void emit(char channel, const void* data, u64 size);
void say(const char* text);
void say_hex(u64 v);
void say_number(u64 v);
__attribute__((noreturn)) void leave(int status);
__attribute__((noreturn)) void stop(const char* why);

/* memory.c */
u64 map_memory(void); /* returns the physical address of the top page table */
int is_mapped(u64 address);
i64 sys_mmap(u64 address, u64 size, u64 protection, u64 flags, u64 fd, u64 offset);
i64 sys_munmap(u64 address, u64 size);
i64 sys_mprotect(u64 address, u64 size, u64 protection);
i64 sys_madvise(u64 address, u64 size, u64 advice);
i64 sys_brk(u64 to);

/* threads.c */
extern u64 current_stack;                /* where system calls save registers */
void start_first_thread(u64 xsave_mask); /* 0: this CPU has no XSAVE */
struct regs* current_regs(void);
void set_trap_stack(u64 top); /* main.c: it owns the task state segment */
void schedule(void);
u64 now(void); /* ns since start */
i64 sys_clone(u64 flags, u64 stack, u64 parent_tid, u64 child_tid, u64 tls);
i64 sys_exit(u64 status);
i64 sys_futex(u64 address, u64 operation, u64 value, u64 timeout, u64 address2, u64 bits);
i64 sys_sched_yield(void);
i64 sys_gettid(void);
i64 sys_set_tid_address(u64 address);

/* files.c */
void add_files(void);
const u8* file_bytes(u64 fd, u64* size); /* null when fd is not an open file */
i64 sys_openat(u64 directory, u64 path, u64 flags);
i64 sys_open(u64 path, u64 flags);
i64 sys_close(u64 fd);
i64 sys_read(u64 fd, u64 to, u64 size);
i64 sys_pread64(u64 fd, u64 to, u64 size, u64 at);
i64 sys_write(u64 fd, u64 from, u64 size);
i64 sys_writev(u64 fd, u64 parts, u64 count);
i64 sys_lseek(u64 fd, u64 offset, u64 from);
i64 sys_fstat(u64 fd, u64 to);
i64 sys_newfstatat(u64 directory, u64 path, u64 to, u64 flags);
i64 sys_access(u64 path);
i64 sys_ioctl(u64 fd);
i64 sys_readlink(u64 path, u64 to, u64 room);
i64 sys_readlinkat(u64 directory, u64 path, u64 to, u64 room);
i64 sys_getcwd(u64 to, u64 room);
