/* Files: those that --file named, in memory and read-only, by absolute path; /dev/null; standard output and error. */
#include <asm/errno.h>
#include <asm/stat.h>
#include <linux/fcntl.h>
#include <linux/stat.h>
#include <linux/uio.h>

#include "kernel.h"

enum fd_kind { kFree, kInput, kOutput, kError, kNull, kFile };
struct fd {
  enum fd_kind kind;
  const struct initial_file* file;
  u64 at;
};

static struct fd fds[64] = {{kInput, 0, 0}, {kOutput, 0, 0}, {kError, 0, 0}};
enum { kFds = sizeof fds / sizeof *fds, kSeekCur = 1, kSeekEnd = 2 };

static struct fd* get_fd(u64 n) { return n < kFds && fds[n].kind != kFree ? &fds[n] : 0; }

static const struct initial_file* find_file(const char* path) {
  const struct initial_file* files = (const struct initial_file*)params->files;
  for (u64 i = 0; i < params->file_count; ++i) {
    if (same_text((const char*)files[i].path, path)) return &files[i];
  }
  return 0;
}

const u8* file_bytes(u64 fd, u64* size) {
  const struct fd* d = get_fd(fd);
  if (!d || d->kind != kFile) return 0;
  *size = d->file->size;
  return (const u8*)d->file->data;
}

i64 sys_open(u64 path, u64 flags) {
  const int null = same_text((const char*)path, "/dev/null");
  const struct initial_file* file = find_file((const char*)path);
  if (!null && (flags & (O_ACCMODE | O_CREAT))) return -EROFS;
  if (!null && !file) return -ENOENT;
  for (int i = 0; i < kFds; ++i) {
    if (fds[i].kind != kFree) continue;
    fds[i] = (struct fd){null ? kNull : kFile, file, 0};
    return i;
  }
  return -EMFILE;
}
i64 sys_openat(u64 directory, u64 path, u64 flags) {
  (void)directory;
  return sys_open(path, flags);
}

i64 sys_close(u64 fd) {
  struct fd* d = get_fd(fd);
  if (!d) return -EBADF;
  d->kind = kFree;
  return 0;
}

i64 sys_pread64(u64 fd, u64 to, u64 size, u64 at) {
  const struct fd* d = get_fd(fd);
  if (!d) return -EBADF;
  if (d->kind != kFile || at >= d->file->size) return 0;
  const u64 left = d->file->size - at, part = size < left ? size : left;
  memcpy((void*)to, (const u8*)d->file->data + at, part);
  return (i64)part;
}

i64 sys_read(u64 fd, u64 to, u64 size) {
  struct fd* d = get_fd(fd);
  if (!d) return -EBADF;
  const i64 n = sys_pread64(fd, to, size, d->at);
  d->at += (u64)n;
  return n;
}

i64 sys_write(u64 fd, u64 from, u64 size) {
  const struct fd* d = get_fd(fd);
  if (!d || d->kind == kInput || d->kind == kFile) return -EBADF;
  if (d->kind != kNull) emit(d->kind == kOutput ? 'O' : 'E', (const void*)from, size);
  return (i64)size;
}

i64 sys_writev(u64 fd, u64 parts, u64 count) {
  const struct iovec* v = (const struct iovec*)parts;
  i64 total = 0;
  for (u64 i = 0; i < count; ++i) {
    const i64 n = sys_write(fd, (u64)v[i].iov_base, v[i].iov_len);
    if (n < 0) return n;
    total += n;
  }
  return total;
}

i64 sys_lseek(u64 fd, u64 offset, u64 from) {
  struct fd* d = get_fd(fd);
  if (!d) return -EBADF;
  if (d->kind != kFile) return -ESPIPE;
  const i64 to = (i64)offset + (from == kSeekCur ? (i64)d->at : from == kSeekEnd ? (i64)d->file->size : 0);
  if (to < 0) return -EINVAL;
  d->at = (u64)to;
  return to;
}

static i64 fill_stat(u64 to, const struct initial_file* file) {
  struct stat* s = (struct stat*)to;
  memset(s, 0, sizeof *s);
  s->st_mode = file ? S_IFREG | 0444 : S_IFIFO | 0600; /* standard output and error are pipes */
  s->st_nlink = 1;
  s->st_blksize = kPage;
  s->st_size = file ? (i64)file->size : 0;
  s->st_ino = file ? file->data : 0;
  return 0;
}

i64 sys_fstat(u64 fd, u64 to) {
  const struct fd* d = get_fd(fd);
  return d ? fill_stat(to, d->file) : -EBADF;
}

i64 sys_newfstatat(u64 directory, u64 path, u64 to, u64 flags) {
  if ((flags & AT_EMPTY_PATH) && !*(const char*)path) return sys_fstat(directory, to);
  const struct initial_file* file = find_file((const char*)path);
  return file ? fill_stat(to, file) : -ENOENT;
}

i64 sys_access(u64 path) { return find_file((const char*)path) ? 0 : -ENOENT; }

i64 sys_ioctl(u64 fd) { return get_fd(fd) ? -ENOTTY : -EBADF; }

i64 sys_readlink(u64 path, u64 to, u64 room) {
  if (!same_text((const char*)path, "/proc/self/exe")) return -EINVAL;
  const u64 n = text_length((const char*)params->exe), part = n < room ? n : room;
  memcpy((void*)to, (const void*)params->exe, part);
  return (i64)part;
}
i64 sys_readlinkat(u64 directory, u64 path, u64 to, u64 room) {
  (void)directory;
  return sys_readlink(path, to, room);
}

i64 sys_getcwd(u64 to, u64 room) {
  if (room < 2) return -ERANGE;
  memcpy((void*)to, "/", 2);
  return 2;
}
