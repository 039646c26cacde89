/* The names of the sites, and the site, rank and visit that REEL_FAULT names. */
#include "fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *reel_fault_name(enum reel_fault_site site)
{
    static const char *const names[REEL_FAULT_SITES] = {
        [REEL_FAULT_JOB_READ] = "job-read",
        [REEL_FAULT_THREADS] = "threads",
        [REEL_FAULT_LOG_OPEN] = "log-open",
        [REEL_FAULT_OUTPUT_CHECK] = "output-check",
        [REEL_FAULT_MODEL_OPEN] = "model-open",
        [REEL_FAULT_INPUT_READ] = "input-read",
        [REEL_FAULT_INPUT_MEMORY] = "input-memory",
        [REEL_FAULT_CHUNKS] = "chunks",
        [REEL_FAULT_PLAN] = "plan",
        [REEL_FAULT_ARENA] = "arena",
        [REEL_FAULT_WEIGHTS_READ] = "weights-read",
        [REEL_FAULT_WEIGHTS_HASH] = "weights-hash",
        [REEL_FAULT_DECISIONS] = "decisions",
        [REEL_FAULT_CHUNK_MEMORY] = "chunk-memory",
        [REEL_FAULT_COPY] = "copy",
        [REEL_FAULT_GEMM] = "gemm",
        [REEL_FAULT_ATTENTION] = "attention",
        [REEL_FAULT_EXCHANGE] = "exchange",
        [REEL_FAULT_GATHER] = "gather",
        [REEL_FAULT_LINEAR] = "linear",
        [REEL_FAULT_RING] = "ring",
        [REEL_FAULT_BLOCK] = "block",
        [REEL_FAULT_DISTANCE] = "distance",
        [REEL_FAULT_VELOCITY] = "velocity",
        [REEL_FAULT_OUTPUT_BUILD] = "output-build",
        [REEL_FAULT_OUTPUT_WRITE] = "output-write",
        [REEL_FAULT_OUTPUT_RENAME] = "output-rename",
        [REEL_FAULT_CHECKPOINT_LOCK] = "checkpoint-lock",
        [REEL_FAULT_CHECKPOINT_HASH] = "checkpoint-hash",
        [REEL_FAULT_CHECKPOINT_SKELETON] = "checkpoint-skeleton",
        [REEL_FAULT_CHECKPOINT_RESERVE] = "checkpoint-reserve",
        [REEL_FAULT_CHECKPOINT_OPEN] = "checkpoint-open",
        [REEL_FAULT_CHECKPOINT_WRITE] = "checkpoint-write",
        [REEL_FAULT_CHECKPOINT_CLOSE] = "checkpoint-close",
        [REEL_FAULT_CHECKPOINT_SYNC] = "checkpoint-sync",
        [REEL_FAULT_CHECKPOINT_RENAME] = "checkpoint-rename",
        [REEL_FAULT_CHECKPOINT_RENAMED] = "checkpoint-renamed",
        [REEL_FAULT_CHECKPOINT_READ] = "checkpoint-read",
        [REEL_FAULT_REPORT] = "report"};
    return names[site];
}

#ifdef REEL_DEBUG
static int rank_here = -1;

void reel_fault_rank(int rank)
{
    rank_here = rank;
}

int reel_fault(enum reel_fault_site site)
{
    static atomic_llong visits[REEL_FAULT_SITES];
    const char *wanted = getenv("REEL_FAULT"), *name = reel_fault_name(site);
    size_t length = strlen(name);
    int rank = -1;
    long long visit = 1;
    char action[8] = "";
    if (!wanted || strncmp(wanted, name, length) != 0 || wanted[length] != ':' ||
        sscanf(wanted + length, ":%d:%lld:%7s", &rank, &visit, action) < 1 || rank != rank_here)
        return 0;
    int now = atomic_fetch_add(&visits[site], 1) + 1 == visit;
    if (now && strcmp(action, "kill") == 0)
        raise(SIGKILL);
    if (now && strcmp(action, "stop") == 0)
        raise(SIGSTOP);
    return now;
}
#endif
