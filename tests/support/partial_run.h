/* Runs a job in this process in partial runs. Each opens the job, computes some iterations, and leaves it as
 * a kill would; the next one opens it again, perhaps on other ranks.
 *
 *     partial_run(&(struct piece){.world = MPI_COMM_WORLD, .job = "job.yaml", .max = 1}, &end);
 *     partial_run(&(struct piece){.world = MPI_COMM_SELF, .job = "job.yaml", .max = -1}, &end);
 *     partial_free(&end);
 *
 * computes the first iteration on all ranks, and the others on one. */
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
    const struct reel_device *device; /* the device of the run; NULL: the CPU, in fp32 */
    /* After this many iterations, the run is left at the first checkpoint that is later than its beginning.
     * -1: it runs to the end of the job. */
    int64_t max;
    /* If not 0, the run is left after stop - 1 iterations, whether or not a checkpoint was saved. */
    int64_t stop;
};

/* How a partial run ended. */
struct partial_end {
    enum reel_status status;
    char cause[REEL_CAUSE_BYTES];
    char notes[PARTIAL_NOTES_BYTES]; /* the notes of rank 0 of its world, a line each */
    int64_t from_chunk, from_row;    /* its beginning */
    int64_t chunk, row;              /* its last checkpoint */
    int64_t iterations;              /* how many it computed */
    int64_t checkpoints;             /* how many it saved */
    int complete, nothing_to_do, loaded;
    float *latents; /* if complete; partial_free frees them */
    int64_t count;
};

/* Collective over the partial run's world. */
void partial_run(const struct piece *piece, struct partial_end *end);

void partial_free(struct partial_end *end);

#endif
