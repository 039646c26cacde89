/* reel notify: sends SIGUSR1 to every rank that /proc shows; with --wait waits until they have ended. */
#include "command.h"

#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The ranks that were notified, by pidfds: a pid may be reused by another process, a pidfd never is. */
struct told {
    struct pollfd *ranks; /* fd -1: it has ended */
    int64_t count;
};

static enum reel_status read_arguments(int64_t count, char **argv, int *waits)
{
    *waits = 0;
    for (int64_t i = 0; i < count; i++) {
        REEL_NEED(strcmp(argv[i], "--wait") == 0, REEL_BAD_JOB,
                  "%s is not an option of reel notify, expected --wait or nothing", argv[i]);
        *waits = 1;
    }
    return REEL_OK;
}

/* REEL_BAD_COMM unless /proc shows this PID namespace: with other pids the wrong processes would be
 * signalled. */
static enum reel_status check_proc(void)
{
    char self[32] = "";
    REEL_NEED(readlink("/proc/self", self, sizeof self - 1) > 0, REEL_BAD_COMM,
              "/proc/self: %s, expected /proc to show the processes of this host", strerror(errno));
    REEL_NEED(strtoll(self, NULL, 10) == (long long)getpid(), REEL_BAD_COMM,
              "/proc/self is %s, expected %lld: /proc shows the processes of another PID namespace", self,
              (long long)getpid());
    return REEL_OK;
}

/* Reads the start of /proc/PID/NAME, ended with a zero; 0 bytes if it has gone or this user may not read
 * it. */
static enum reel_status read_start(pid_t process, const char *name, char *text, size_t text_bytes,
                                   size_t *bytes)
{
    char path[64];
    ssize_t part;
    *bytes = 0;
    text[0] = '\0';
    snprintf(path, sizeof path, "/proc/%d/%s", (int)process, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    REEL_NEED(file >= 0 || errno == ENOENT || errno == ESRCH || errno == EACCES || errno == EPERM,
              REEL_BAD_COMM, "%s: %s, expected to see whether this is a rank", path, strerror(errno));
    if (file < 0)
        return REEL_OK;
    while ((part = read(file, text + *bytes, text_bytes - 1 - *bytes)) > 0)
        *bytes += (size_t)part;
    close(file);
    text[*bytes] = '\0';
    return REEL_OK;
}

/* Whether the executable is called reel, even if it was started by a link or has been replaced since. */
static int runs_reel(pid_t process)
{
    char path[64], target[4200] = "";
    snprintf(path, sizeof path, "/proc/%d/exe", (int)process);
    if (readlink(path, target, sizeof target - 1) <= 0)
        return 0;
    const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
    return strcmp(name, "reel") == 0 || strcmp(name, "reel (deleted)") == 0;
}

/* Whether the process is a rank: alive, called reel, with run as its first argument, and this user's, or
 * anybody's for root. This process never is: its first argument is notify. */
static enum reel_status check_rank(pid_t process, int *is_rank)
{
    static const char name[] = "Name:\treel\n"; /* what comm holds */
    char status[1024], argv[8192];
    size_t bytes;
    unsigned user;
    *is_rank = 0;
    REEL_PASS(read_start(process, "status", status, sizeof status, &bytes));
    const char *users = strstr(status, "\nUid:"); /* real, effective, ... */
    if (!users || sscanf(users, " Uid: %*u %u", &user) != 1 || (geteuid() != 0 && user != geteuid()))
        return REEL_OK;
    REEL_PASS(read_start(process, "cmdline", argv, sizeof argv, &bytes));
    size_t second = strlen(argv) + 1;
    *is_rank = second < bytes && strcmp(argv + second, "run") == 0 &&
               (strncmp(status, name, strlen(name)) == 0 || runs_reel(process));
    return REEL_OK;
}

/* Sends SIGUSR1 to the pidfd's process if it is a rank. This is checked only now that the pidfd is open, so
 * that no other process can take its pid in between. */
static enum reel_status tell_held(pid_t process, int handle, int *is_told)
{
    int is_rank;
    *is_told = 0;
    REEL_PASS(check_rank(process, &is_rank));
    if (!is_rank)
        return REEL_OK;
    *is_told = syscall(SYS_pidfd_send_signal, handle, SIGUSR1, NULL, 0) == 0;
    REEL_NEED(*is_told || errno == ESRCH, REEL_BAD_COMM,
              "process %lld is a rank and could not be told: %s, expected one that this user may signal",
              (long long)process, strerror(errno));
    return REEL_OK;
}

static enum reel_status tell_rank(pid_t process, struct told *told)
{
    int is_told;
    struct pollfd *ranks = realloc(told->ranks, ((size_t)told->count + 1) * sizeof *ranks);
    REEL_NEED(ranks, REEL_NO_MEMORY, "no memory for %lld ranks", (long long)told->count + 1);
    told->ranks = ranks;
    int handle = (int)syscall(SYS_pidfd_open, process, 0);
    REEL_NEED(handle >= 0 || errno == ESRCH, REEL_BAD_COMM,
              "process %lld is a rank and could not be told: pidfd_open: %s, expected Linux 5.3 or later",
              (long long)process, strerror(errno));
    if (handle < 0) /* it has ended */
        return REEL_OK;
    enum reel_status status = tell_held(process, handle, &is_told);
    if (is_told)
        ranks[told->count++] = (struct pollfd){.fd = handle, .events = POLLIN};
    else
        close(handle);
    return status;
}

/* Notifies every rank that can be notified, even if others cannot be; returns the first error. */
static enum reel_status tell_ranks(struct told *told)
{
    enum reel_status status = REEL_OK;
    DIR *folder = opendir("/proc");
    REEL_NEED(folder, REEL_BAD_COMM, "/proc: %s, expected the processes of this host", strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder));) {
        pid_t process = (pid_t)strtol(entry->d_name, NULL, 10); /* 0 if the entry is not a process */
        int is_rank = 0;
        enum reel_status one = process > 0 ? check_rank(process, &is_rank) : REEL_OK;
        if (is_rank)
            one = tell_rank(process, told);
        status = status == REEL_OK ? one : status;
    }
    closedir(folder);
    return status;
}

static enum reel_status wait_for_their_end(struct told *told)
{
    for (int64_t left = told->count; left > 0;) {
        int ended = poll(told->ranks, (nfds_t)told->count, -1);
        REEL_NEED(ended >= 0 || errno == EINTR, REEL_BAD_COMM, "waiting for the ranks failed: %s",
                  strerror(errno));
        for (int64_t i = 0; ended > 0 && i < told->count; i++)
            if (told->ranks[i].fd >= 0 && told->ranks[i].revents) {
                close(told->ranks[i].fd);
                told->ranks[i].fd = -1;
                left--;
            }
    }
    return REEL_OK;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void print_told(const struct told *told, enum reel_status status)
{
    if (told->count > 0)
        printf("told %lld rank%s\n", (long long)told->count, told->count == 1 ? "" : "s");
    else if (status == REEL_OK)
        printf("no rank of reel runs here\n");
}

/* Prints how many ranks were notified before it waits. It waits even if standard output cannot be written. */
static enum reel_status notify_ranks(int waits, struct told *told)
{
    double began = seconds_now();
    enum reel_status status = tell_ranks(told);
    print_told(told, status);
    int unwritten = fflush(stdout) == 0 ? 0 : errno;
    if (waits && told->count > 0) {
        enum reel_status waited = wait_for_their_end(told);
        status = status == REEL_OK ? waited : status;
        if (waited == REEL_OK)
            printf("%s ended after %.1f s\n", told->count == 1 ? "it has" : "they have",
                   seconds_now() - began);
        unwritten = fflush(stdout) == 0 ? unwritten : errno;
    }
    if (unwritten && status == REEL_OK)
        status = reel_fail(REEL_BAD_OUTPUT, "standard output could not be written: %s", strerror(unwritten));
    return status;
}

static enum reel_status run_notify(struct reel_comm *comm, int64_t count, char **argv)
{
    (void)comm; /* there is none */
    struct told told = {0};
    int waits;
    if (reel_launched_local_rank() > 0)
        return REEL_OK;
    REEL_PASS(read_arguments(count, argv, &waits));
    REEL_PASS(check_proc());
    enum reel_status status = notify_ranks(waits, &told);
    for (int64_t i = 0; i < told.count; i++)
        if (told.ranks[i].fd >= 0)
            close(told.ranks[i].fd);
    free(told.ranks);
    return status;
}

static void help(void)
{
    printf("reel notify [--wait]\n\n"
           "Tells every rank of reel run on this host, by SIGUSR1, to save and to exit with 75. For node\n"
           "agents and preStop hooks. Ranks are the processes in /proc (of this PID namespace, and of those\n"
           "inside it) that are called reel and whose first argument is run: this user's, or anybody's for\n"
           "root. It is enough to tell one rank of a job on several hosts. Under mpirun only the first\n"
           "process of every host does it. A rank that is told again more than 10 s later exits at once.\n\n"
           "  --wait   return when all ranks that were told have ended\n\n"
           "Exit code 0: also if no rank runs. 12: a rank could not be told (this user may not signal it,\n"
           "/proc is another PID namespace's, or Linux is older than 5.3); the others were told, and waited\n"
           "for with --wait.\n");
}

const struct reel_command reel_command_notify = {.name = "notify",
                                                 .synopsis = "[--wait]",
                                                 .summary = "tells this host's ranks to save and exit (75)",
                                                 .help = help,
                                                 .ranks = REEL_COMMAND_WITHOUT_RANKS,
                                                 .run = run_notify};
