/* The folder of a job's checkpoints: whose it is, what lies in it, and how a file gets there.
 *
 *     checkpoint-000007.h5                     the newest
 *     checkpoint-000006.h5
 *     lock                                     locked by rank 0 of the job that runs; says which host and process
 *     .checkpoint-000008-HOST-PID-TIME.tmp     in the making
 *
 * The lock is the kernel's (an OFD lock), so that it goes with the process whatever ends it. After a kill of mpirun its
 * ranks live on for a second: who comes then waits for the lock, and who has lost it does not rename.
 * All of this is rank 0's. Not collective. */
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

/* Makes the folder where it is missing, and tries to lock it. *busy is 1 when another process has it; then owner says
 * who. REEL_BAD_OUTPUT when the folder or its lock cannot be made. A file system without locks is *busy 0 and folder->lock
 * -1: nothing then keeps two jobs apart. */
enum reel_status reel_checkpoint_directory_lock(const char *path, struct reel_checkpoint_directory *folder,
                                                int *busy);

/* Gives it back. Zeros are allowed, and a folder that was not locked. */
void reel_checkpoint_directory_unlock(struct reel_checkpoint_directory *folder);

/* The generations that are there, newest first; *generations is the caller's to free. REEL_BAD_OUTPUT when the folder cannot
 * be read. */
enum reel_status reel_checkpoint_directory_list(const char *path, int64_t **generations, int64_t *count);

/* The path of a generation. */
void reel_checkpoint_directory_file(const char *path, int64_t generation,
                                    char file[REEL_CHECKPOINT_PATH_BYTES]);

/* A path for a generation in the making, unlike that of any other process. */
void reel_checkpoint_directory_temporary(const struct reel_checkpoint_directory *folder, int64_t generation,
                                         char file[REEL_CHECKPOINT_PATH_BYTES]);

/* Puts what was made aside in its place, once the folder is known to be ours still, and lets the rename reach the disk.
 * REEL_BAD_OUTPUT; aside is then as it was, or in place. */
enum reel_status reel_checkpoint_directory_commit(const struct reel_checkpoint_directory *folder,
                                                  const char *temporary, int64_t generation);

/* Removes the generations after the first, up to the last. What cannot be removed stays. */
void reel_checkpoint_directory_remove(const struct reel_checkpoint_directory *folder, int64_t first,
                                      int64_t last);

/* Removes all but the newest keep generations. What cannot be removed stays. */
void reel_checkpoint_directory_prune(const struct reel_checkpoint_directory *folder, int64_t keep);

/* Removes what killed jobs have left aside. */
void reel_checkpoint_directory_sweep(const struct reel_checkpoint_directory *folder);

#endif
