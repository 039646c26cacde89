/* The directory of a job's checkpoints: its lock, its files, and how a new checkpoint gets there.
 *
 *     checkpoint-000007.h5                   the newest
 *     checkpoint-000006.h5
 *     lock                                   locked by rank 0 of the running job; names its host and process
 *     .checkpoint-000008-HOST-PID-TIME.tmp   being written
 *
 * The lock is an OFD lock of the kernel, which releases it however the process ends. After mpirun is killed,
 * its ranks live on for a second. A new job then waits for the lock, and the old job does not rename its
 * temporary file once the lock file has been replaced. Only rank 0 calls these functions. Not collective. */
#ifndef REEL_CHECKPOINT_DIRECTORY_H
#define REEL_CHECKPOINT_DIRECTORY_H

#include "job.h"
#include "status.h"

enum { REEL_OWNER_BYTES = 256, REEL_CHECKPOINT_PATH_BYTES = REEL_PATH_BYTES + 256 };

struct reel_checkpoint_directory {
    char path[REEL_PATH_BYTES];
    int lock; /* the open lock file, or -1 */
    char owner[REEL_OWNER_BYTES];
};

/* Creates the directory if it is missing, and tries to lock it. *busy is 1 when another process has locked
 * it; then directory->owner names that process. On a file system without locks *busy is 0 and directory->lock
 * is -1: then nothing stops two jobs from using the directory at once. REEL_BAD_OUTPUT when the directory or
 * its lock file cannot be created, or when the directory takes no files. */
enum reel_status reel_checkpoint_directory_lock(const char *path, struct reel_checkpoint_directory *directory,
                                                int *busy);

/* Releases the lock. A struct of zeros is allowed, and a directory that is not locked. */
void reel_checkpoint_directory_unlock(struct reel_checkpoint_directory *directory);

/* Lists the generations in the directory, newest first. The caller frees *generations with free(), after an
 * error too. REEL_BAD_OUTPUT when the directory cannot be read; REEL_NO_MEMORY. */
enum reel_status reel_checkpoint_directory_list(const char *path, int64_t **generations, int64_t *count);

/* The path of the checkpoint of a generation. */
void reel_checkpoint_directory_file(const char *path, int64_t generation,
                                    char file[REEL_CHECKPOINT_PATH_BYTES]);

/* The path of the temporary file for a generation. No other process has the same path. */
void reel_checkpoint_directory_temporary(const struct reel_checkpoint_directory *directory,
                                         int64_t generation, char file[REEL_CHECKPOINT_PATH_BYTES]);

/* Checks that the lock file is still ours, renames the temporary file to the path of the generation, and
 * flushes the directory. REEL_BAD_OUTPUT; then the temporary file is unchanged, or already renamed. */
enum reel_status reel_checkpoint_directory_commit(const struct reel_checkpoint_directory *directory,
                                                  const char *temporary, int64_t generation);

/* Removes the generations in (first, last]. A file that cannot be removed stays. */
void reel_checkpoint_directory_remove(const struct reel_checkpoint_directory *directory, int64_t first,
                                      int64_t last);

/* Removes all generations except the newest `keep`. A file that cannot be removed stays. */
void reel_checkpoint_directory_prune(const struct reel_checkpoint_directory *directory, int64_t keep);

/* Removes the temporary files that killed jobs have left. */
void reel_checkpoint_directory_sweep(const struct reel_checkpoint_directory *directory);

#endif
