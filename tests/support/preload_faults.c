/* A library to preload into reel: chosen calls on chosen files fail, and the date jumps.
 *
 *     DISTURB_FILES=/folder/.checkpoint-000002    paths that contain this (for rename: either path)
 *     DISTURB_FAULT=write:2:EIO                   the second of these calls fails with EIO
 *     DISTURB_FAULT=write:2+:EIO                  the second and all later ones fail with EIO
 *     DISTURB_RANK=1                              on this rank only
 *     DISTURB_CLOCK=1                             the date is hours off, ahead or behind, and changes often
 *
 * Calls: read (read, pread), write (write, pwrite, writev), sync (fsync, fdatasync), rename, reserve
 * (fallocate), open, close, lock (flock, F_OFD_SETLK). Faults: an error by its name, or short, where half of
 * the bytes are read or written. A close that fails has closed the file. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum call { READ, WRITE, SYNC, RENAME, RESERVE, OPEN, CLOSE, LOCK, CALLS };
enum { SHORT = -1 };

/* The function of the C library that the one here replaces. */
#define BEHIND(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int error_of(const char *name)
{
    static const struct {
        const char *name;
        int value;
    } errors[] = {{"short", SHORT},   {"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT},
                  {"ENOLCK", ENOLCK}, {"ENOSYS", ENOSYS}, {"EACCES", EACCES}, {"EOPNOTSUPP", EOPNOTSUPP}};
    for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++)
        if (strcmp(errors[e].name, name) == 0)
            return errors[e].value;
    fprintf(stderr, "DISTURB_FAULT: %s is no error that is known here\n", name);
    abort();
}

/* The fault of this call on this path: an errno, or SHORT; 0: none. */
static int trouble(enum call call, const char *path)
{
    static const char *const names[CALLS] = {"read",    "write", "sync",  "rename",
                                             "reserve", "open",  "close", "lock"};
    static atomic_int visits[CALLS];
    const char *files = getenv("DISTURB_FILES"), *fault = getenv("DISTURB_FAULT"),
               *rank = getenv("DISTURB_RANK"), *here = getenv("OMPI_COMM_WORLD_RANK");
    char name[16], until[2] = "", error[16];
    int from;
    if (!files || !fault || !path || !strstr(path, files) || (rank && (!here || strcmp(rank, here) != 0)))
        return 0;
    if (sscanf(fault, "%15[^:]:%d%1[+]:%15s", name, &from, until, error) != 4 &&
        sscanf(fault, "%15[^:]:%d:%15s", name, &from, error) != 3)
        abort();
    if (strcmp(name, names[call]) != 0)
        return 0;
    int visit = atomic_fetch_add(&visits[call], 1) + 1;
    return visit == from || (visit > from && until[0]) ? error_of(error) : 0;
}

static int trouble_of_file(enum call call, int file)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t bytes = getenv("DISTURB_FAULT") ? readlink(link, path, sizeof path - 1) : -1;
    if (bytes < 0)
        return 0;
    path[bytes] = '\0';
    return trouble(call, path);
}

/* Whether the call fails here; then sets errno. Halves *bytes for SHORT. */
static int is_over(int cause, size_t *bytes)
{
    if (cause == SHORT && bytes)
        *bytes = (*bytes + 1) / 2;
    if (cause > 0)
        errno = cause;
    return cause > 0;
}

ssize_t read(int file, void *to, size_t bytes)
{
    return is_over(trouble_of_file(READ, file), &bytes) ? -1 : BEHIND(read)(file, to, bytes);
}

ssize_t pread(int file, void *to, size_t bytes, off_t at)
{
    return is_over(trouble_of_file(READ, file), &bytes) ? -1 : BEHIND(pread)(file, to, bytes, at);
}

ssize_t pread64(int file, void *to, size_t bytes, off64_t at)
{
    return is_over(trouble_of_file(READ, file), &bytes) ? -1 : BEHIND(pread64)(file, to, bytes, at);
}

ssize_t write(int file, const void *from, size_t bytes)
{
    return is_over(trouble_of_file(WRITE, file), &bytes) ? -1 : BEHIND(write)(file, from, bytes);
}

ssize_t pwrite(int file, const void *from, size_t bytes, off_t at)
{
    return is_over(trouble_of_file(WRITE, file), &bytes) ? -1 : BEHIND(pwrite)(file, from, bytes, at);
}

ssize_t pwrite64(int file, const void *from, size_t bytes, off64_t at)
{
    return is_over(trouble_of_file(WRITE, file), &bytes) ? -1 : BEHIND(pwrite64)(file, from, bytes, at);
}

ssize_t writev(int file, const struct iovec *pieces, int count)
{
    return is_over(trouble_of_file(WRITE, file), NULL) ? -1 : BEHIND(writev)(file, pieces, count);
}

int fsync(int file)
{
    return is_over(trouble_of_file(SYNC, file), NULL) ? -1 : BEHIND(fsync)(file);
}

int fdatasync(int file)
{
    return is_over(trouble_of_file(SYNC, file), NULL) ? -1 : BEHIND(fdatasync)(file);
}

int rename(const char *from, const char *to)
{
    int cause = trouble(RENAME, from);
    return is_over(cause ? cause : trouble(RENAME, to), NULL) ? -1 : BEHIND(rename)(from, to);
}

int fallocate(int file, int mode, off_t at, off_t bytes)
{
    return is_over(trouble_of_file(RESERVE, file), NULL) ? -1 : BEHIND(fallocate)(file, mode, at, bytes);
}

int fallocate64(int file, int mode, off64_t at, off64_t bytes)
{
    return is_over(trouble_of_file(RESERVE, file), NULL) ? -1 : BEHIND(fallocate64)(file, mode, at, bytes);
}

/* The third argument of open, which is passed if a file may be created. */
static mode_t mode_of(int flags, va_list arguments)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return is_over(trouble(OPEN, path), NULL) ? -1 : BEHIND(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return is_over(trouble(OPEN, path), NULL) ? -1 : BEHIND(open64)(path, flags, mode);
}

int close(int file)
{
    int cause = trouble_of_file(CLOSE, file);
    int done = BEHIND(close)(file);
    return is_over(cause, NULL) ? -1 : done;
}

int flock(int file, int how)
{
    return is_over(trouble_of_file(LOCK, file), NULL) ? -1 : BEHIND(flock)(file, how);
}

/* Every command of fcntl takes an argument that fits a pointer, or none. */
int fcntl(int file, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command == F_OFD_SETLK && is_over(trouble_of_file(LOCK, file), NULL))
        return -1;
    return BEHIND(fcntl)(file, command, argument);
}

int fcntl64(int file, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command == F_OFD_SETLK && is_over(trouble_of_file(LOCK, file), NULL))
        return -1;
    return BEHIND(fcntl64)(file, command, argument);
}

/* Seconds by which the date is off: ahead for seven calls, then behind for seven, and so on. */
static time_t jump(void)
{
    static atomic_uint calls;
    if (!getenv("DISTURB_CLOCK"))
        return 0;
    return atomic_fetch_add(&calls, 1) / 7 % 2 ? -5 * 3600 : 7 * 3600;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int done = BEHIND(clock_gettime)(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += jump();
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int done = BEHIND(gettimeofday)(now, zone);
    now->tv_sec += jump();
    return done;
}

time_t time(time_t *now)
{
    time_t seconds = BEHIND(time)(NULL) + jump();
    if (now)
        *now = seconds;
    return seconds;
}
