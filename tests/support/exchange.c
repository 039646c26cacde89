/* Transfers that check the received bytes. */
#include "exchange.h"

#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROOM = 40 << 20 };
const double exchange_patience = 60;
int me, size;
struct reel_stream stream;
struct room room, transfers_room;

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

struct memory memory_new(int64_t bytes)
{
    struct memory memory = {.bytes = bytes};
    memory.device = reel_ops_shadow.allocate(bytes + 1);
    memory.host = calloc(1, (size_t)bytes + 1);
    return memory;
}

void memory_free(struct memory *memory)
{
    reel_ops_shadow.release(memory->device, memory->bytes + 1);
    free(memory->host);
}

void exchange_start(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    reel_stream_open_side(&stream, &reel_ops_shadow);
    CHECK(reel_nccl_is_here(), "it is absent");
    room = (struct room){memory_new(ROOM), memory_new(ROOM)};
    transfers_room = (struct room){memory_new(ROOM), memory_new(ROOM)};
}

int exchange_end(void)
{
    struct memory *const rooms[] = {&room.out, &room.in, &transfers_room.out, &transfers_room.in};
    reel_stream_close(&stream);
    for (int r = 0; r < 4; r++)
        memory_free(rooms[r]);
    int failed = test_end();
    MPI_Finalize();
    return failed;
}

unsigned char value(int64_t from, int64_t to, int64_t i)
{
    return (unsigned char)(1 + (from * 89 + to * 31 + i * 7 + i / 251) % 255);
}

int64_t uneven(int64_t from, int64_t to)
{
    return (from * 5 + to * 3) % 7 * 1001; /* some are 0 */
}

int64_t long_(int64_t from, int64_t to)
{
    /* more than one 4 MiB message of the fake, mostly no multiple of it */
    return ((int64_t)1 << 22) * (1 + from % 2) + 4097 * to;
}

int64_t none(int64_t from, int64_t to)
{
    return 0 * (from + to);
}

void exchange_in(struct room *where, struct reel_nccl *nccl, int rank, int ranks,
                 int64_t (*bytes)(int64_t, int64_t), int is_one_group)
{
    int64_t sent = 0, received = 0, at = 0, into = 0, wrong = 0;
    for (int p = 0; p < ranks; p++) {
        sent += bytes(rank, p);
        received += bytes(p, rank);
    }
    struct memory out = where->out, in = where->in;
    CHECK(sent <= out.bytes && received <= in.bytes, "no room for %lld and %lld bytes", (long long)sent,
          (long long)received);
    memset(in.host, 0, (size_t)received);
    for (int s = 1; s < ranks; s++)
        for (int64_t to = (rank + s) % ranks, i = 0; i < bytes(rank, to); i++)
            out.host[at++] = value(rank, to, i);
    reel_upload(&stream, out.device, out.host, sent);
    reel_upload(&stream, in.device, in.host, received);
    enum reel_status status = is_one_group ? reel_nccl_begin(nccl) : REEL_OK;
    at = 0;
    for (int s = 1; s < ranks && status == REEL_OK; s++) {
        int64_t to = (rank + s) % ranks, from = (rank - s + ranks) % ranks;
        if (!is_one_group)
            status = reel_nccl_begin(nccl);
        if (status == REEL_OK)
            status = reel_nccl_sendrecv(nccl, &stream, to, out.device + at, bytes(rank, to), from,
                                        in.device + into, bytes(from, rank));
        if (!is_one_group && status == REEL_OK)
            status = reel_nccl_end(nccl);
        at += bytes(rank, to);
        into += bytes(from, rank);
    }
    if (is_one_group && status == REEL_OK)
        status = reel_nccl_end(nccl);
    CHECK(status == REEL_OK, "%s", reel_error_here()->cause);
    reel_download(&stream, in.host, in.device, received);
    into = 0;
    for (int s = 1; s < ranks; s++)
        for (int64_t from = (rank - s + ranks) % ranks, i = 0; i < bytes(from, rank); i++)
            wrong += in.host[into++] != value(from, rank, i);
    for (; into < received; into++)
        wrong += in.host[into] != 0;
    CHECK(wrong == 0 && stream.status == REEL_OK, "%lld bytes are wrong: %s", (long long)wrong,
          reel_error_here()->cause);
}

void exchange(struct reel_nccl *nccl, int rank, int ranks, int64_t (*bytes)(int64_t, int64_t),
              int is_one_group)
{
    exchange_in(&room, nccl, rank, ranks, bytes, is_one_group);
}

struct reel_nccl *opened(MPI_Comm ranks)
{
    struct reel_nccl *nccl;
    enum reel_status status = reel_nccl_open(ranks, exchange_patience, &nccl);
    CHECK(status == REEL_OK && nccl, "%s", reel_error_here()->cause);
    return nccl;
}

void check_end(struct reel_nccl_counts before, int64_t destroyed, int64_t aborted)
{
    struct reel_nccl_counts after = reel_nccl_fake_counts();
    CHECK(after.refused == before.refused, "%lld calls were refused",
          (long long)(after.refused - before.refused));
    CHECK(after.destroyed - before.destroyed == destroyed && after.aborted - before.aborted == aborted,
          "%lld destroyed, %lld aborted, expected %lld and %lld",
          (long long)(after.destroyed - before.destroyed), (long long)(after.aborted - before.aborted),
          (long long)destroyed, (long long)aborted);
}
