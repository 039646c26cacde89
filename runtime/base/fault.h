/* Planted failures: a table of sites in the code that a test makes fail, to show that an error at any of them
 * ends all ranks with the same status. The environment variable REEL_FAULT names SITE:RANK[:VISIT[:ACTION]]:
 *
 *     REEL_FAULT=weights-read:1                     rank 1 fails when it first reaches the site
 *     REEL_FAULT=gemm:2:40                          rank 2 fails when it reaches the site for the 40th time
 *     REEL_FAULT=checkpoint-write:0:1:kill          rank 0 gets SIGKILL there (or, with stop, SIGSTOP)
 *
 * A site calls reel_fault(REEL_FAULT_GEMM) and, if it returns 1, behaves as if its own work had failed. In
 * builds without REEL_DEBUG the call is the constant 0. Not collective. */
#ifndef REEL_FAULT_H
#define REEL_FAULT_H

enum reel_fault_site {
    REEL_FAULT_JOB_READ,
    REEL_FAULT_THREADS,
    REEL_FAULT_LOG_OPEN,
    REEL_FAULT_OUTPUT_CHECK,
    REEL_FAULT_MODEL_OPEN,
    REEL_FAULT_INPUT_READ,
    REEL_FAULT_INPUT_MEMORY,
    REEL_FAULT_CHUNKS,
    REEL_FAULT_PLAN,
    REEL_FAULT_ARENA,
    REEL_FAULT_WEIGHTS_READ,
    REEL_FAULT_WEIGHTS_HASH,
    REEL_FAULT_DECISIONS,
    REEL_FAULT_CHUNK_MEMORY,
    REEL_FAULT_COPY,
    REEL_FAULT_GEMM,
    REEL_FAULT_ATTENTION,
    REEL_FAULT_EXCHANGE,
    REEL_FAULT_GATHER,
    REEL_FAULT_LINEAR,
    REEL_FAULT_RING,
    REEL_FAULT_BLOCK,
    REEL_FAULT_DISTANCE,
    REEL_FAULT_VELOCITY,
    REEL_FAULT_OUTPUT_BUILD,
    REEL_FAULT_OUTPUT_WRITE,
    REEL_FAULT_OUTPUT_RENAME,
    REEL_FAULT_CHECKPOINT_LOCK,
    REEL_FAULT_CHECKPOINT_HASH,
    REEL_FAULT_CHECKPOINT_SKELETON,
    REEL_FAULT_CHECKPOINT_RESERVE,
    REEL_FAULT_CHECKPOINT_OPEN,
    REEL_FAULT_CHECKPOINT_WRITE,
    REEL_FAULT_CHECKPOINT_CLOSE,
    REEL_FAULT_CHECKPOINT_SYNC,
    REEL_FAULT_CHECKPOINT_RENAME,
    REEL_FAULT_CHECKPOINT_RENAMED,
    REEL_FAULT_CHECKPOINT_READ,
    REEL_FAULT_REPORT,
    REEL_FAULT_SITES
};

/* The site's name in REEL_FAULT. */
const char *reel_fault_name(enum reel_fault_site site);

#ifdef REEL_DEBUG
/* Sets the rank of this process; until then no site fails. */
void reel_fault_rank(int rank);

/* Counts a visit of this site; 1 when the site is to fail now. */
int reel_fault(enum reel_fault_site site);
#else
static inline void reel_fault_rank(int rank)
{
    (void)rank;
}
static inline int reel_fault(enum reel_fault_site site)
{
    (void)site;
    return 0;
}
#endif

#endif
