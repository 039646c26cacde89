/* Names of files, the lock, and the rename. */
#include "checkpoint_directory.h"

#include "fault.h"
#include "directory_sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GENERATION_MAX 1000000000000 /* far below the max of int64_t */

static const char temporary_start[] = ".checkpoint-", temporary_end[] = ".tmp";

static enum reel_status cannot(const char *path, const char *what)
{
    return reel_fail(REEL_BAD_OUTPUT, "%s: checkpoint.directory %s: %s", path, what, strerror(errno));
}

static void lock_path(const char *path, char file[REEL_CHECKPOINT_PATH_BYTES])
{
    snprintf(file, REEL_CHECKPOINT_PATH_BYTES, "%s/lock", path);
}

/* Creates the directory and its parents. */
static enum reel_status make_directory(const char *path)
{
    char part[REEL_PATH_BYTES];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(part, 0777); /* an error that matters shows at the last mkdir */
        *slash = '/';
    }
    struct stat there;
    int made = mkdir(part, 0777) == 0;
    if (!made && errno != EEXIST)
        return cannot(path, "could not be made");
    char *last = strrchr(part, '/');
    if (made && last > part) { /* the new entry has to reach the disk */
        *last = '\0';
        reel_directory_sync(part);
        *last = '/';
    }
    if (stat(part, &there) != 0)
        return cannot(path, "could not be made");
    REEL_NEED(S_ISDIR(there.st_mode), REEL_BAD_OUTPUT,
              "%s: checkpoint.directory is no directory, expected one", path);
    return REEL_OK;
}

static const char owner_start[] = "host "; /* how the text of a lock file begins */

/* The first line of the lock file, such as "host vm, process 1234". Only the first line, so that a file
 * cannot write freely on the terminal. */
static void read_owner(int file, char owner[REEL_OWNER_BYTES])
{
    ssize_t got = pread(file, owner, REEL_OWNER_BYTES - 1, 0);
    owner[got > 0 ? got : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';
    if (!owner[0])
        snprintf(owner, REEL_OWNER_BYTES, "a process that has not written its name");
}

/* 1 for an empty file, or one that a job of reel has written. No other file may be overwritten. */
static int is_a_lock(int file)
{
    char start[sizeof owner_start - 1];
    struct stat facts;
    return fstat(file, &facts) == 0 && S_ISREG(facts.st_mode) &&
           (facts.st_size == 0 || (pread(file, start, sizeof start, 0) == (ssize_t)sizeof start &&
                                   memcmp(start, owner_start, sizeof start) == 0));
}

static enum reel_status write_owner(struct reel_checkpoint_directory *directory)
{
    char host[128] = "";
    gethostname(host, sizeof host - 1);
    int bytes = snprintf(directory->owner, sizeof directory->owner, "%s%s, process %lld", owner_start, host,
                         (long long)getpid());
    if (ftruncate(directory->lock, 0) != 0 ||
        pwrite(directory->lock, directory->owner, (size_t)bytes, 0) != bytes ||
        pwrite(directory->lock, "\n", 1, bytes) != 1)
        return cannot(directory->path, "could not be locked");
    return REEL_OK;
}

/* 1 when the path of the lock file still leads to the file that is open. */
static int is_ours(const struct reel_checkpoint_directory *directory)
{
    char path[REEL_CHECKPOINT_PATH_BYTES];
    struct stat there, mine;
    lock_path(directory->path, path);
    return stat(path, &there) == 0 && fstat(directory->lock, &mine) == 0 && there.st_dev == mine.st_dev &&
           there.st_ino == mine.st_ino;
}

/* Checks that a file can be created in the directory: the user should know before a day's work, not after
 * it. */
static enum reel_status try_directory(const struct reel_checkpoint_directory *directory)
{
    char path[REEL_CHECKPOINT_PATH_BYTES];
    reel_checkpoint_directory_temporary(directory, 0, path);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0)
        return cannot(directory->path, "takes no files");
    close(file);
    unlink(path);
    return REEL_OK;
}

enum reel_status reel_checkpoint_directory_lock(const char *path, struct reel_checkpoint_directory *directory,
                                                int *busy)
{
    char file[REEL_CHECKPOINT_PATH_BYTES];
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    *busy = 0;
    *directory = (struct reel_checkpoint_directory){.lock = -1};
    snprintf(directory->path, sizeof directory->path, "%s", path);
    REEL_NEED(!reel_fault(REEL_FAULT_CHECKPOINT_LOCK), REEL_BAD_OUTPUT,
              "planted: the directory cannot be locked");
    REEL_PASS(make_directory(path));
    lock_path(path, file);
    directory->lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (directory->lock < 0)
        return cannot(path, "could not be locked");
    if (!is_a_lock(directory->lock)) {
        reel_checkpoint_directory_unlock(directory);
        return reel_fail(REEL_BAD_OUTPUT,
                         "%s: is no lock file of reel, expected none or another checkpoint.directory", file);
    }
    if (fcntl(directory->lock, F_OFD_SETLK, &whole) != 0) {
        *busy = errno == EAGAIN || errno == EACCES;
        read_owner(directory->lock, directory->owner);
        close(directory->lock);
        directory->lock = -1;
        return *busy ? REEL_OK : try_directory(directory);
    }
    if (!is_ours(directory)) { /* removed between opening and locking: the lock protects nothing */
        *busy = 1;
        reel_checkpoint_directory_unlock(directory);
        return REEL_OK;
    }
    enum reel_status status = write_owner(directory);
    if (status == REEL_OK)
        status = try_directory(directory);
    if (status != REEL_OK)
        reel_checkpoint_directory_unlock(directory);
    return status;
}

void reel_checkpoint_directory_unlock(struct reel_checkpoint_directory *directory)
{
    if (directory->path[0] && directory->lock >= 0)
        close(directory->lock);
    directory->lock = -1;
}

/* The generation in a file's name; -1 when it is not the name of a checkpoint. */
static int64_t generation_of(const char *name)
{
    char again[64];
    long long generation;
    if (sscanf(name, "checkpoint-%lld.h5", &generation) != 1 || generation < 0 || generation > GENERATION_MAX)
        return -1;
    snprintf(again, sizeof again, "checkpoint-%06lld.h5", generation);
    return strcmp(again, name) == 0 ? generation : -1;
}

static int newest_first(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left < right) - (left > right);
}

enum reel_status reel_checkpoint_directory_list(const char *path, int64_t **generations, int64_t *count)
{
    int64_t room = 0;
    enum reel_status status = REEL_OK;
    *generations = NULL;
    *count = 0;
    DIR *directory = opendir(path);
    if (!directory)
        return cannot(path, "cannot be read");
    for (struct dirent *entry; status == REEL_OK && (entry = readdir(directory));) {
        if (generation_of(entry->d_name) < 0)
            continue;
        if (*count == room) {
            room = 2 * room + 16;
            int64_t *more = realloc(*generations, (size_t)room * sizeof *more);
            if (!more) {
                status = reel_fail(REEL_NO_MEMORY, "%s: no memory for the list of checkpoints", path);
                break;
            }
            *generations = more;
        }
        (*generations)[(*count)++] = generation_of(entry->d_name);
    }
    closedir(directory);
    if (*count > 1)
        qsort(*generations, (size_t)*count, sizeof **generations, newest_first);
    return status;
}

void reel_checkpoint_directory_file(const char *path, int64_t generation,
                                    char file[REEL_CHECKPOINT_PATH_BYTES])
{
    snprintf(file, REEL_CHECKPOINT_PATH_BYTES, "%s/checkpoint-%06lld.h5", path, (long long)generation);
}

void reel_checkpoint_directory_temporary(const struct reel_checkpoint_directory *directory,
                                         int64_t generation, char file[REEL_CHECKPOINT_PATH_BYTES])
{
    char host[65] = "";
    struct timespec now;
    gethostname(host, sizeof host - 1);
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(file, REEL_CHECKPOINT_PATH_BYTES, "%s/%s%06lld-%s-%lld-%llx%s", directory->path, temporary_start,
             (long long)generation, host, (long long)getpid(),
             (unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec, temporary_end);
}

enum reel_status reel_checkpoint_directory_commit(const struct reel_checkpoint_directory *directory,
                                                  const char *temporary, int64_t generation)
{
    char file[REEL_CHECKPOINT_PATH_BYTES];
    reel_checkpoint_directory_file(directory->path, generation, file);
    REEL_NEED(directory->lock < 0 || is_ours(directory), REEL_BAD_OUTPUT,
              "%s: checkpoint.directory was taken away: its lock is another file now", directory->path);
    if (reel_fault(REEL_FAULT_CHECKPOINT_RENAME) || rename(temporary, file) != 0)
        return cannot(directory->path, "could not take the new checkpoint");
    if (reel_fault(REEL_FAULT_CHECKPOINT_RENAMED) || reel_directory_sync(directory->path) != 0)
        return cannot(directory->path, "could not be flushed");
    return REEL_OK;
}

/* Removes the generations in (first, last], except the newest `keep` generations of the directory. */
static void remove_generations(const struct reel_checkpoint_directory *directory, int64_t keep, int64_t first,
                               int64_t last)
{
    char file[REEL_CHECKPOINT_PATH_BYTES];
    int64_t *generations, count;
    if (reel_checkpoint_directory_list(directory->path, &generations, &count) != REEL_OK)
        reel_error_clear();
    for (int64_t g = keep; g < count; g++) {
        reel_checkpoint_directory_file(directory->path, generations[g], file);
        if (generations[g] > first && generations[g] <= last)
            remove(file); /* removes an empty directory of that name too */
    }
    free(generations);
}

void reel_checkpoint_directory_remove(const struct reel_checkpoint_directory *directory, int64_t first,
                                      int64_t last)
{
    remove_generations(directory, 0, first, last);
}

void reel_checkpoint_directory_prune(const struct reel_checkpoint_directory *directory, int64_t keep)
{
    remove_generations(directory, keep, -1, INT64_MAX);
}

void reel_checkpoint_directory_sweep(const struct reel_checkpoint_directory *directory)
{
    char file[REEL_CHECKPOINT_PATH_BYTES];
    DIR *listing = opendir(directory->path);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        size_t bytes = strlen(entry->d_name);
        if (strncmp(entry->d_name, temporary_start, sizeof temporary_start - 1) != 0 ||
            bytes < sizeof temporary_end ||
            strcmp(entry->d_name + bytes - (sizeof temporary_end - 1), temporary_end) != 0)
            continue;
        snprintf(file, sizeof file, "%s/%.255s", directory->path, entry->d_name);
        unlink(file);
    }
    if (listing)
        closedir(listing);
}
