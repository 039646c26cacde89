/* Bytes that go over NCCL and are looked at where they arrive, for tests with the stand-in. */
#ifndef REEL_TEST_EXCHANGE_H
#define REEL_TEST_EXCHANGE_H

#include "comm_nccl.h"
#include "nccl_fake.h"
#include "ops.h"

/* Seconds, where nothing is to hang. */
extern const double exchange_patience;
/* Of MPI_COMM_WORLD. */
extern int me, size;
/* On memory of the shadow. */
extern struct reel_stream stream;

/* The memory of a device, as an exchange sees it, and what the host knows of it. */
struct memory {
    int64_t bytes;
    unsigned char *device, *host;
};

struct memory memory_new(int64_t bytes);
void memory_free(struct memory *memory);

/* Where a thread exchanges: allocated before there is another thread. */
struct room {
    struct memory out, in;
};
extern struct room room, transfers_room;

/* Starts MPI and makes the rooms; and their end. exchange_end returns the program's exit code. */
void exchange_start(int argc, char **argv);
int exchange_end(void);

double now(void);

/* Byte i of what one rank sends to another. */
unsigned char value(int64_t from, int64_t to, int64_t i);

/* How many bytes: some and sometimes none; more than a piece of the stand-in; none. */
int64_t uneven(int64_t from, int64_t to);
int64_t long_(int64_t from, int64_t to);
int64_t none(int64_t from, int64_t to);

/* Collective. Everybody sends to everybody, in one group or one for each distance, and CHECKs what comes. */
void exchange_in(struct room *where, struct reel_nccl *nccl, int rank, int ranks,
                 int64_t (*bytes)(int64_t, int64_t), int is_one_group);
void exchange(struct reel_nccl *nccl, int rank, int ranks, int64_t (*bytes)(int64_t, int64_t),
              int is_one_group);

/* Collective. CHECKs that it opens. */
struct reel_nccl *opened(MPI_Comm ranks);

/* CHECKs that nothing was done since that NCCL does not allow, and how many communicators have ended. */
void check_end(struct reel_nccl_counts before, int64_t destroyed, int64_t aborted);

#endif
