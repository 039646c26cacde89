/* Trouble planned by a test or by the environment, and the counts. */
#include "nccl_trouble.h"

#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reel_nccl_counts reel_nccl_counted;

static struct {
    pthread_mutex_t lock;
    int is_read; /* whether the environment has been read */
    uint64_t random;
    int64_t max_looks;
    int64_t planned[REEL_NCCL_TROUBLES]; /* how many calls until the trouble comes; 0: none does */
} plan = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const names[REEL_NCCL_TROUBLES] = {
    "id-fails",    "init-refused", "init-fails", "init-hangs",  "send-refused", "group-refused",
    "group-fails", "group-hangs",  "poll-fails", "close-hangs", "abort-hangs"};

void reel_nccl_stop(const char *words)
{
    fprintf(stderr, "fake NCCL: %s\n", words);
    fflush(stderr);
    abort();
}

static void read_slow(const char *text, int rank)
{
    unsigned long long seed;
    long long max;
    if (sscanf(text, "%llu:%lld", &seed, &max) != 2 || max < 0)
        reel_nccl_stop("REEL_NCCL_SLOW is not SEED:LOOKS");
    plan.random = seed + (unsigned)rank;
    plan.max_looks = max;
}

static void read_trouble(const char *text, int rank)
{
    char name[32];
    int of_rank;
    long long nth;
    if (sscanf(text, "%31[a-z-]:%d:%lld", name, &of_rank, &nth) == 3)
        for (int t = 0; t < REEL_NCCL_TROUBLES; t++)
            if (strcmp(name, names[t]) == 0) {
                plan.planned[t] = of_rank == rank ? nth : 0;
                return;
            }
    reel_nccl_stop("REEL_NCCL_TROUBLE is not TROUBLE:RANK:NTH");
}

/* Reads the environment once, before the plan is used. The caller holds the lock. */
static void read_environment(void)
{
    const char *slow = getenv("REEL_NCCL_SLOW"), *trouble = getenv("REEL_NCCL_TROUBLE");
    int rank;
    if (plan.is_read++)
        return;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (slow)
        read_slow(slow, rank);
    if (trouble)
        read_trouble(trouble, rank);
}

static void lock(void)
{
    pthread_mutex_lock(&plan.lock);
    read_environment();
}

static void unlock(void)
{
    pthread_mutex_unlock(&plan.lock);
}

int reel_nccl_is_planned(enum reel_nccl_trouble trouble)
{
    lock();
    int now = plan.planned[trouble] > 0 && --plan.planned[trouble] == 0;
    unlock();
    return now;
}

int64_t reel_nccl_looks(void)
{
    lock();
    plan.random = plan.random * 6364136223846793005u + 1442695040888963407u;
    int64_t looks = (int64_t)((plan.random >> 33) % (uint64_t)(plan.max_looks + 1));
    unlock();
    return looks;
}

void reel_nccl_fake_plan(enum reel_nccl_trouble trouble, int64_t nth)
{
    lock();
    plan.planned[trouble] = nth;
    unlock();
}

void reel_nccl_fake_slow(uint64_t seed, int64_t max)
{
    lock();
    plan.random = seed;
    plan.max_looks = max;
    unlock();
}

void reel_nccl_count(int64_t *counter)
{
    lock();
    ++*counter;
    unlock();
}

struct reel_nccl_counts reel_nccl_fake_counts(void)
{
    lock();
    struct reel_nccl_counts counts = reel_nccl_counted;
    unlock();
    return counts;
}
