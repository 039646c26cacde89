/* Moves the bytes of a group over MPI. */
#include "nccl_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PIECE = 1 << 22, NAP_NS = 50000 };

struct reel_nccl_work *reel_nccl_work_new(void *queue, int count_tag, int bytes_tag)
{
    struct reel_nccl_work *work = calloc(1, sizeof *work);
    work->queue = queue;
    work->count_tag = count_tag;
    work->bytes_tag = bytes_tag;
    return work;
}

void reel_nccl_work_add(struct reel_nccl_work *work, struct reel_nccl_item item)
{
    if (work->count == work->room) {
        work->room = 2 * work->room + 8;
        work->items = realloc(work->items, (size_t)work->room * sizeof *work->items);
    }
    work->items[work->count++] = item;
}

void reel_nccl_work_free(struct reel_nccl_work *work)
{
    if (!work)
        return;
    free(work->items);
    free(work->requests);
    free(work);
}

/* Sends or receives an item, in messages of at most PIECE bytes, which an int can count. */
static void move(struct reel_nccl_work *work, struct reel_nccl_item *item)
{
    for (int64_t at = 0; at < item->bytes; at += PIECE) {
        char *memory = (char *)item->memory + at;
        int bytes = (int)(item->bytes - at < PIECE ? item->bytes - at : PIECE);
        MPI_Request *request = &work->requests[work->request_count++];
        if (item->is_sent)
            MPI_Isend(memory, bytes, MPI_BYTE, item->world_peer, work->bytes_tag, MPI_COMM_WORLD, request);
        else
            MPI_Irecv(memory, bytes, MPI_BYTE, item->world_peer, work->bytes_tag, MPI_COMM_WORLD, request);
    }
}

/* Announces the size of every item that is sent, and sends its bytes at once. */
static void begin(struct reel_nccl_work *work)
{
    int64_t requests = 0;
    for (int64_t i = 0; i < work->count; i++)
        requests += 1 + (work->items[i].bytes + PIECE - 1) / PIECE;
    work->requests = malloc((size_t)requests * sizeof *work->requests);
    for (int64_t i = 0; i < work->count; i++) {
        struct reel_nccl_item *item = &work->items[i];
        if (!item->is_sent) {
            MPI_Irecv(&item->announced, 1, MPI_INT64_T, item->world_peer, work->count_tag, MPI_COMM_WORLD,
                      &item->announcement);
            continue;
        }
        MPI_Isend(&item->bytes, 1, MPI_INT64_T, item->world_peer, work->count_tag, MPI_COMM_WORLD,
                  &work->requests[work->request_count++]);
        move(work, item);
    }
}

/* Whether an earlier item from the same peer waits for its announcement; its bytes come first. */
static int is_behind(const struct reel_nccl_work *work, int64_t item)
{
    for (int64_t i = 0; i < item; i++)
        if (!work->items[i].is_sent && !work->items[i].is_expected &&
            work->items[i].peer == work->items[item].peer)
            return 1;
    return 0;
}

/* Posts the receives of items that have been announced. Returns how many have not been. */
static int64_t expect(struct reel_nccl_work *work)
{
    int64_t left = 0;
    for (int64_t i = 0; i < work->count; i++) {
        struct reel_nccl_item *item = &work->items[i];
        int here = 0;
        if (item->is_sent || item->is_expected)
            continue;
        if (!is_behind(work, i))
            MPI_Test(&item->announcement, &here, MPI_STATUS_IGNORE);
        left += !here;
        if (!here)
            continue;
        if (item->announced != item->bytes) {
            fprintf(stderr,
                    "fake NCCL: rank %d of a communicator sends %lld bytes to rank %d, which expects %lld: "
                    "NCCL would hang, or write where it must not\n",
                    item->peer, (long long)item->announced, item->rank, (long long)item->bytes);
            fflush(stderr);
            MPI_Abort(MPI_COMM_WORLD, 70);
        }
        item->is_expected = 1;
        move(work, item);
    }
    return left;
}

void (*reel_nccl_work_yield)(void);

void reel_nccl_work_run(void *context)
{
    struct reel_nccl_work *work = context;
    begin(work);
    for (;;) {
        int done;
        int64_t left = expect(work);
        MPI_Testall(work->request_count, work->requests, &done, MPI_STATUSES_IGNORE);
        if (done && left == 0)
            break;
        if (reel_nccl_work_yield)
            reel_nccl_work_yield();
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    reel_nccl_work_free(work);
}
