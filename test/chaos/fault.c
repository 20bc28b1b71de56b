/*
 * Makes file operations of a program fail on demand. Built as a shared object and put in front of
 * the C library by LD_PRELOAD; told what to do through a small file that both sides map:
 *
 *   int32  armed | operations (bits) | errno | let pass | fail so many (0: all) | met | failed
 *   byte 64  the beginning of the paths that are meant, ending in zero
 *   byte 576 a text that their rest must hold, ending in zero
 *
 * errno -1 is a lie: the operation reports success and nothing is done. errno -2 writes half.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, FSYNC = 4, FDATASYNC = 8, RENAME = 16, TRUNCATE = 32, READ = 64 };
enum { LIE = -1, HALF = -2 };

struct control {
  volatile int armed, operations, error, pass, limit, met, failed, reserved[9];
  char prefix[512];
  char part[512];
};
static struct control *control;

#define REAL(type, name, ...)                                   \
  static type (*real)(__VA_ARGS__);                             \
  if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int real_open(const char *path, int flags) {
  REAL(int, "open", const char *, int, ...);
  return real(path, flags);
}

__attribute__((constructor)) static void map_control(void) {
  const char *path = getenv("CHAOS_FAULT_CONTROL");
  if (!path) return;
  int fd = real_open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *mapped = mmap(0, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) control = mapped;
}

/* 0: let it pass. Otherwise the errno, LIE or HALF. */
static int verdict(int operation, int fd, const char *path) {
  if (!control || !control->armed || !(control->operations & operation)) return 0;
  char found[PATH_MAX], link[64];
  int saved = errno;
  if (!path) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, found, sizeof found - 1);
    errno = saved;
    if (length < 0) return 0;
    found[length] = 0;
    path = found;
  }
  size_t length = strlen(control->prefix);
  if (strncmp(path, control->prefix, length) || !strstr(path + length, control->part)) return 0;
  int met = __sync_add_and_fetch(&control->met, 1);
  if (met <= control->pass) return 0;
  if (control->limit && met > control->pass + control->limit) return 0;
  __sync_add_and_fetch(&control->failed, 1);
  return control->error;
}

#define FAIL(verdict, lie)                       \
  do {                                           \
    if ((verdict) > 0) { errno = (verdict); return -1; } \
    if ((verdict) == LIE) return (lie);          \
  } while (0)

int fsync(int fd) {
  REAL(int, "fsync", int);
  int v = verdict(FSYNC, fd, 0);
  FAIL(v, 0);
  return real(fd);
}
int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  int v = verdict(FDATASYNC, fd, 0);
  FAIL(v, 0);
  return real(fd);
}
ssize_t write(int fd, const void *bytes, size_t count) {
  REAL(ssize_t, "write", int, const void *, size_t);
  int v = fd > 2 ? verdict(WRITE, fd, 0) : 0;
  FAIL(v, (ssize_t)count);
  return real(fd, bytes, v == HALF ? (count + 1) / 2 : count);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  int v = verdict(WRITE, fd, 0);
  FAIL(v, (ssize_t)count);
  return real(fd, bytes, v == HALF ? (count + 1) / 2 : count, at);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
  return pwrite64(fd, bytes, count, at);
}
ssize_t read(int fd, void *bytes, size_t count) {
  REAL(ssize_t, "read", int, void *, size_t);
  int v = fd > 2 ? verdict(READ, fd, 0) : 0;
  FAIL(v, 0);
  return real(fd, bytes, count);
}
ssize_t pread64(int fd, void *bytes, size_t count, off64_t at) {
  REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
  int v = verdict(READ, fd, 0);
  FAIL(v, 0);
  return real(fd, bytes, count, at);
}
ssize_t pread(int fd, void *bytes, size_t count, off_t at) {
  return pread64(fd, bytes, count, at);
}
ssize_t preadv64(int fd, const struct iovec *parts, int count, off64_t at) {
  REAL(ssize_t, "preadv64", int, const struct iovec *, int, off64_t);
  int v = verdict(READ, fd, 0);
  FAIL(v, 0);
  return real(fd, parts, count, at);
}
ssize_t preadv(int fd, const struct iovec *parts, int count, off_t at) {
  return preadv64(fd, parts, count, at);
}
static ssize_t total(const struct iovec *parts, int count) {
  ssize_t sum = 0;
  for (int i = 0; i < count; i++) sum += parts[i].iov_len;
  return sum;
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  int v = verdict(WRITE, fd, 0);
  FAIL(v, total(parts, count));
  return real(fd, parts, count);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  REAL(ssize_t, "pwritev64", int, const struct iovec *, int, off64_t);
  int v = verdict(WRITE, fd, 0);
  FAIL(v, total(parts, count));
  return real(fd, parts, count, at);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  return pwritev64(fd, parts, count, at);
}
int ftruncate64(int fd, off64_t length) {
  REAL(int, "ftruncate64", int, off64_t);
  int v = verdict(TRUNCATE, fd, 0);
  FAIL(v, 0);
  return real(fd, length);
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }
int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  int v = verdict(RENAME, -1, to);
  FAIL(v, 0);
  return real(from, to);
}

/* Only what is opened to be written to is meant. */
static int open_verdict(const char *path, int flags) {
  if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_CREAT)) return 0;
  int v = verdict(OPEN, -1, path);
  return v > 0 ? v : 0;
}
#define MODE(flags, mode)                            \
  mode_t mode = 0;                                   \
  if ((flags) & (O_CREAT | O_TMPFILE)) {             \
    va_list rest;                                    \
    va_start(rest, flags);                           \
    mode = va_arg(rest, mode_t);                     \
    va_end(rest);                                    \
  }
int open(const char *path, int flags, ...) {
  REAL(int, "open", const char *, int, ...);
  MODE(flags, mode);
  int v = open_verdict(path, flags);
  FAIL(v, -1);
  return real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  REAL(int, "open64", const char *, int, ...);
  MODE(flags, mode);
  int v = open_verdict(path, flags);
  FAIL(v, -1);
  return real(path, flags, mode);
}
