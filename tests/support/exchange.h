/* Transfers over NCCL whose bytes are checked by the receiver, for tests with the fake NCCL. */
#ifndef REEL_TEST_EXCHANGE_H
#define REEL_TEST_EXCHANGE_H

#include "comm_nccl.h"
#include "nccl_fake.h"
#include "ops.h"

/* The timeout in seconds of tests in which nothing hangs. */
extern const double exchange_patience;
/* The rank in MPI_COMM_WORLD, and the number of ranks. */
extern int me, size;
/* A side stream of the shadow backend. */
extern struct reel_stream stream;

/* A buffer in device memory, and the host's copy of its contents. */
struct memory {
    int64_t bytes;
    unsigned char *device, *host;
};

struct memory memory_new(int64_t bytes);
void memory_free(struct memory *memory);

/* The buffers of one thread. All of them are allocated before a second thread starts. */
struct room {
    struct memory out, in;
};
extern struct room room, transfers_room;

/* exchange_start starts MPI and allocates the buffers. exchange_end frees them, ends MPI and returns the
 * program's exit code. */
void exchange_start(int argc, char **argv);
int exchange_end(void);

double now(void);

/* Byte i of what rank `from` sends to rank `to`. */
unsigned char value(int64_t from, int64_t to, int64_t i);

/* How many bytes `from` sends to `to`: a few, sometimes none; more than one 4 MiB message of the fake;
 * none. */
int64_t uneven(int64_t from, int64_t to);
int64_t long_(int64_t from, int64_t to);
int64_t none(int64_t from, int64_t to);

/* Collective. Every rank sends to every other rank, in one NCCL group or in one group for each distance
 * between ranks, and CHECKs the bytes that it receives. */
void exchange_in(struct room *where, struct reel_nccl *nccl, int rank, int ranks,
                 int64_t (*bytes)(int64_t, int64_t), int is_one_group);
void exchange(struct reel_nccl *nccl, int rank, int ranks, int64_t (*bytes)(int64_t, int64_t),
              int is_one_group);

/* Collective. Opens a communicator and CHECKs that this succeeds. */
struct reel_nccl *opened(MPI_Comm ranks);

/* CHECKs that since `before` NCCL refused no call, and how many communicators were destroyed and aborted. */
void check_end(struct reel_nccl_counts before, int64_t destroyed, int64_t aborted);

#endif
