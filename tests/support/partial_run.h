/* A job run in this process, a piece at a time: opened, run for some iterations, and left as a kill leaves it, then opened
 * again, perhaps on other ranks.
 *
 *     piece_run(&(struct piece){.world = MPI_COMM_WORLD, .job = "job.yaml", .most = 1}, &end);     the first iteration
 *     piece_run(&(struct piece){.world = MPI_COMM_SELF, .job = "job.yaml", .most = -1}, &end);     and the others
 *     piece_free(&end);
 */
#ifndef REEL_TEST_PARTIAL_RUN_H
#define REEL_TEST_PARTIAL_RUN_H

#include "comm.h"
#include "job.h"
#include "status.h"

enum { PARTIAL_SETS = 24, PARTIAL_NOTES_BYTES = 1 << 14 };

struct reel_device;

struct piece {
    MPI_Comm world;
    const char *job;
    const char *sets[PARTIAL_SETS]; /* "key=value", up to the first NULL */
    int fresh;
    const struct reel_device *device; /* where it computes; NULL: the CPU, in fp32 */
    int64_t
        max; /* iterations until it is left at the next checkpoint that lies behind where it began; -1: runs to its end */
    int64_t stop; /* where not 0: left without a save before iteration stop - 1 of the piece */
};

/* How it ended. */
struct partial_end {
    enum reel_status status;
    char cause[REEL_CAUSE_BYTES];
    char notes[PARTIAL_NOTES_BYTES]; /* what was said on rank 0 of its world, a line each */
    int64_t from_chunk, from_row;    /* where it began */
    int64_t chunk, row;              /* of its last checkpoint */
    int64_t iterations;              /* that it ran */
    int64_t checkpoints;             /* that it saved */
    int complete, nothing_to_do, loaded;
    float *latents; /* of a run that came to its end; the caller's to free by piece_free */
    int64_t count;
};

/* Collective over the piece's world. */
void partial_run(const struct piece *piece, struct partial_end *end);

void partial_free(struct partial_end *end);

#endif
