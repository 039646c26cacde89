/* Saving checkpoints: the locked directory of a job, and what was saved there last.
 *
 *     REEL_PASS(reel_saves_open(&saves, &engine, &run));            locks the directory
 *     REEL_PASS(reel_save(&saves, &engine, &run, &request));        writes a checkpoint
 *     reel_saves_close(&saves);
 *
 * Only save.c writes the members. */
#ifndef REEL_SAVE_H
#define REEL_SAVE_H

#include "checkpoint.h"
#include "engine.h"
#include "run.h"

struct reel_saves {
    struct reel_checkpoint_directory directory; /* on rank 0, locked */
    char *fingerprint;                          /* of the job; on rank 0 */
    /* Generations in (first, last] are damaged, or belong to a job that was started over. They are removed
     * once another checkpoint is saved. */
    int64_t obsolete_first, obsolete_last;
    int64_t since;                               /* iterations done since the last checkpoint */
    int64_t chunk, iteration;                    /* of the last checkpoint; -1: none */
    double seconds;                              /* that saving the last one took; 0: none was saved */
    char algorithms[REEL_GEMM_ALGORITHMS_BYTES]; /* used by the GEMMs so far, as text */
};

/* Collective over world. Locks the job's checkpoint directory, waiting for a job that ends, and removes what
 * killed jobs have left there. A notice ends the waiting with REEL_PREEMPTED. The errors of
 * reel_checkpoint_directory_lock; REEL_BAD_INPUT when another job keeps the lock. The same on every rank. */
enum reel_status reel_saves_open(struct reel_saves *saves, struct reel_comm *comm,
                                 const struct reel_run *run);
/* Not collective. Zeros are allowed. */
void reel_saves_close(struct reel_saves *saves);

/* Not collective. Sets the fingerprint, which becomes the saves' own; which generations are obsolete; and the
 * checkpoint that the run resumes from. */
void reel_saves_fingerprint(struct reel_saves *saves, char *fingerprint);
void reel_saves_obsolete(struct reel_saves *saves, int64_t first, int64_t last);
void reel_saves_resumed(struct reel_saves *saves, const struct reel_checkpoint_metadata *saved);

/* Not collective. An iteration is done. */
void reel_saves_iterated(struct reel_saves *saves);

/* A checkpoint to write. */
struct reel_save_request {
    int within; /* 1: before row `row` of the current chunk; 0: after the chunk */
    int64_t row;
    const char *why; /* for the log: "chunk", "iterations", "notice", "time limit" */
    int last;        /* the run ends after it */
};

/* Collective over world. Writes a checkpoint and removes old ones. A failure to write is an error only if the
 * job says so, or if it is the run's last save; else it is logged. The same on every rank. */
enum reel_status reel_save(struct reel_saves *saves, struct reel_engine *engine, struct reel_run *run,
                           const struct reel_save_request *request);

/* Not collective. An upper estimate of the seconds that a save takes. */
double reel_save_seconds(const struct reel_saves *saves, const struct reel_plan *plan);

#endif
