/* What leaves the machine, and the few functions of libc that a kernel needs. Output is a stream of frames on bochs's
 * debug port, which bochs writes to its own standard output: 0x1e, channel, length, bytes. Channels: O and E are the
 * program's standard output and error, X its exit status in decimal; the last ends the machine. */
#include "kernel.h"

enum { kDebugPort = 0xe9, kShutdownPort = 0x8900, kFrameStart = 0x1e, kFrameMost = 255 };

void* memset(void* to, int value, u64 n) {
  void* d = to;
  __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(value) : "memory");
  return to;
}

void* memcpy(void* to, const void* from, u64 n) {
  void* d = to;
  __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
  return to;
}

u64 text_length(const char* s) {
  u64 n = 0;
  while (s[n]) ++n;
  return n;
}

int same_text(const char* a, const char* b) {
  while (*a && *a == *b) ++a, ++b;
  return *a == *b;
}

static void out8(u32 port, u8 v) { __asm__ volatile("outb %0, %w1" : : "a"(v), "Nd"(port)); }

void emit(char channel, const void* data, u64 size) {
  while (size > 0) {
    const u64 part = size > kFrameMost ? kFrameMost : size;
    out8(kDebugPort, kFrameStart);
    out8(kDebugPort, (u8)channel);
    out8(kDebugPort, (u8)part);
    u64 n = part;
    __asm__ volatile("rep outsb" : "+S"(data), "+c"(n) : "d"(kDebugPort) : "memory"); /* moves data on */
    size -= part;
  }
}

void say(const char* text) { emit('E', text, text_length(text)); }

static void say_in_base(u64 v, u64 base, int digits) {
  char text[20];
  int n = sizeof text;
  do {
    text[--n] = "0123456789abcdef"[v % base];
    v /= base;
  } while (v || (int)sizeof text - n < digits);
  emit('E', text + n, sizeof text - (u64)n);
}

void say_hex(u64 v) {
  say("0x");
  say_in_base(v, 16, 2);
}

void say_number(u64 v) { say_in_base(v, 10, 1); }

void leave(int status) {
  const char text[3] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10), (char)('0' + status % 10)};
  emit('X', text, sizeof text);
  for (const char* p = "Shutdown"; *p; ++p) out8(kShutdownPort, (u8)*p);
  for (;;) __asm__ volatile("cli; hlt");
}

void stop(const char* why) {
  say("emulated machine: ");
  say(why);
  say("\n");
  leave(125);
}
