/* Exchanges over the fake NCCL: bytes arrive, also when calls take their time.
 *
 * With the argument "mismatch" only the test runs that ends the whole job. */
#include "exchange.h"
#include "test.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

static void bytes_arrive_in_uneven_long_and_empty_swaps(void)
{
    struct reel_nccl_counts before = reel_nccl_fake_counts();
    struct reel_nccl *nccl = opened(MPI_COMM_WORLD);
    exchange(nccl, me, size, uneven, 0);
    exchange(nccl, me, size, uneven, 1);
    exchange(nccl, me, size, long_, 1);
    exchange(nccl, me, size, none, 1);
    exchange(nccl, me, size, none, 0);
    CHECK(reel_nccl_check(nccl) == REEL_OK, "%s", reel_error_here()->cause);
    /* empty exchanges are not issued; a single rank has no other to send to */
    int64_t issued = reel_nccl_fake_counts().groups - before.groups;
    int64_t expected = size == 1 ? 0 : 2;
    for (int s = 1; s < size; s++)
        expected += uneven(me, (me + s) % size) > 0 || uneven((me - s + size) % size, me) > 0;
    CHECK(issued == expected, "%lld groups were issued, expected %lld", (long long)issued,
          (long long)expected);
    reel_nccl_close(nccl);
    check_end(before, 1, 0);
}

static void nothing_is_hurried_while_calls_are_in_progress(void)
{
    for (int seed = 1; seed <= 4; seed++) {
        struct reel_nccl_counts before = reel_nccl_fake_counts();
        reel_nccl_fake_slow((uint64_t)(10 * seed + me), seed % 2 ? 3 : 230);
        struct reel_nccl *nccl = opened(MPI_COMM_WORLD);
        exchange(nccl, me, size, uneven, 0);
        exchange(nccl, me, size, uneven, 1);
        exchange(nccl, me, size, none, 1);
        CHECK(reel_nccl_check(nccl) == REEL_OK, "%s", reel_error_here()->cause);
        reel_nccl_close(nccl);
        check_end(before, 1, 0);
        CHECK(size == 1 || reel_nccl_fake_counts().looks > before.looks, "nothing was in progress");
    }
    reel_nccl_fake_slow(0, 0);
}

/* An allgather: every rank sends its bytes to all others in one group. */
static void gathering_sends_the_same_bytes_to_all(void)
{
    int64_t first[8] = {0};
    for (int r = 0; r < size; r++)
        first[r + 1] = first[r] + 100 * (r % 3) + 1;
    struct reel_nccl *nccl = opened(MPI_COMM_WORLD);
    struct memory all = memory_new(first[size]);
    for (int64_t i = first[me]; i < first[me + 1]; i++)
        all.host[i] = value(me, 0, i);
    reel_upload(&stream, all.device, all.host, all.bytes);
    CHECK(reel_nccl_begin(nccl) == REEL_OK, "%s", reel_error_here()->cause);
    for (int s = 1; s < size; s++) {
        int to = (me + s) % size, from = (me - s + size) % size;
        CHECK(reel_nccl_sendrecv(nccl, &stream, to, all.device + first[me], first[me + 1] - first[me], from,
                                 all.device + first[from], first[from + 1] - first[from]) == REEL_OK,
              "%s", reel_error_here()->cause);
    }
    CHECK(reel_nccl_end(nccl) == REEL_OK, "%s", reel_error_here()->cause);
    reel_download(&stream, all.host, all.device, all.bytes);
    for (int r = 0; r < size; r++)
        for (int64_t i = first[r]; i < first[r + 1]; i++)
            CHECK(all.host[i] == value(r, 0, i), "byte %lld of rank %d is %d", (long long)i, r, all.host[i]);
    memory_free(&all);
    reel_nccl_close(nccl);
}

/* As the axes of a mesh do: each has its own numbering of ranks, and their messages do not mix. */
static void communicators_stand_side_by_side(void)
{
    struct reel_nccl_counts before = reel_nccl_fake_counts();
    MPI_Comm part;
    int rank, ranks;
    MPI_Comm_split(MPI_COMM_WORLD, me % 2, -me, &part); /* ranks in reverse order */
    MPI_Comm_rank(part, &rank);
    MPI_Comm_size(part, &ranks);
    struct reel_nccl *whole = opened(MPI_COMM_WORLD), *half = opened(part);
    for (int i = 0; i < 3; i++) {
        exchange(whole, me, size, uneven, 1);
        exchange(half, rank, ranks, uneven, i % 2);
    }
    reel_nccl_close(whole);
    exchange(half, rank, ranks, long_, 0);
    reel_nccl_close(half);
    MPI_Comm_free(&part);
    check_end(before, 2, 0);
}

static void *exchange_beside(void *nccl)
{
    for (int i = 0; i < 5; i++)
        exchange_in(&transfers_room, nccl, me, size, uneven, 1);
    return NULL;
}

/* The thread of async transfers has a communicator of its own. */
static void two_threads_exchange_at_once(void)
{
    struct reel_nccl_counts before = reel_nccl_fake_counts();
    pthread_t thread;
    reel_nccl_fake_slow((uint64_t)me, 20);
    struct reel_nccl *mine = opened(MPI_COMM_WORLD), *transfer = opened(MPI_COMM_WORLD);
    pthread_create(&thread, NULL, exchange_beside, transfer);
    for (int i = 0; i < 5; i++)
        exchange(mine, me, size, uneven, 0);
    pthread_join(thread, NULL);
    reel_nccl_close(mine);
    reel_nccl_close(transfer);
    reel_nccl_fake_slow(0, 0);
    check_end(before, 2, 0);
}

static struct {
    void *queue;
    int64_t calls, reads, writes, read_bytes, write_bytes;
} seen;

static void see(void *queue, void (*work)(void *), void *context, const struct reel_nccl_range *reads,
                int64_t read_count, const struct reel_nccl_range *writes, int64_t write_count)
{
    seen.queue = queue;
    seen.calls++;
    seen.reads += read_count;
    seen.writes += write_count;
    for (int64_t i = 0; i < read_count; i++)
        seen.read_bytes += reads[i].bytes;
    for (int64_t i = 0; i < write_count; i++)
        seen.write_bytes += writes[i].bytes;
    reel_ops_shadow.enter(&stream);
    work(context);
    reel_ops_shadow.leave(&stream);
}

static void *named_handle(const struct reel_stream *of)
{
    return of->queue;
}

static void a_group_is_work_of_the_stream_that_was_given(void)
{
    static const struct reel_nccl_host host = {.run = see};
    struct reel_ops named = reel_ops_shadow;
    struct reel_stream other = {.ops = &named, .queue = &seen};
    struct memory out = memory_new(30), in = memory_new(30);
    struct reel_nccl *nccl = opened(MPI_COMM_WORLD);
    int to = (me + 1) % size, from = (me - 1 + size) % size;
    int64_t sent = size > 1 ? 10 + me : 0, received = size > 1 ? 10 + from : 0;
    named.handle = named_handle;
    reel_nccl_fake_host(&host);
    CHECK(reel_nccl_begin(nccl) == REEL_OK &&
              reel_nccl_sendrecv(nccl, &other, to, out.device, sent, from, in.device, received) == REEL_OK,
          "%s", reel_error_here()->cause);
    CHECK(seen.calls == 0, "bytes moved before the group's end");
    CHECK(reel_nccl_end(nccl) == REEL_OK, "%s", reel_error_here()->cause);
    reel_nccl_fake_host(NULL);
    CHECK(seen.calls == (size > 1) && seen.queue == (size > 1 ? &seen : NULL) && seen.reads == seen.calls &&
              seen.writes == seen.calls && seen.read_bytes == sent && seen.write_bytes == received,
          "%lld calls with %lld and %lld bytes", (long long)seen.calls, (long long)seen.read_bytes,
          (long long)seen.write_bytes);
    reel_nccl_close(nccl);
    memory_free(&out);
    memory_free(&in);
}

static void a_preempted_job_closes_in_peace(void)
{
    struct reel_nccl_counts before = reel_nccl_fake_counts();
    struct reel_nccl *nccl = opened(MPI_COMM_WORLD);
    reel_fail(REEL_PREEMPTED, "a notice came");
    reel_nccl_close(nccl);
    CHECK(reel_error_here()->status == REEL_PREEMPTED, "it was forgotten");
    reel_error_clear();
    reel_nccl_close(NULL);
    check_end(before, 1, 0);
}

static void misuse_is_a_defect_and_no_hang(void)
{
    struct reel_nccl_counts before = reel_nccl_fake_counts();
    unsigned char *byte = reel_ops_shadow.allocate(1);
    struct reel_nccl *nccl = opened(MPI_COMM_WORLD), *other = opened(MPI_COMM_WORLD);
    struct reel_stream nameless = {.ops = &reel_ops_shadow, .queue = byte};
    CHECK(reel_nccl_sendrecv(nccl, &stream, 0, NULL, 0, 0, NULL, 0) == REEL_INTERNAL, "outside of a group");
    CHECK(reel_nccl_end(nccl) == REEL_INTERNAL, "an end without a beginning");
    CHECK(reel_nccl_begin(nccl) == REEL_OK && reel_nccl_begin(other) == REEL_INTERNAL, "a group within");
    reel_error_clear();
    CHECK(reel_nccl_sendrecv(nccl, &stream, me, byte, 1, 0, NULL, 0) == REEL_INTERNAL, "to itself");
    CHECK(reel_nccl_end(nccl) == REEL_INTERNAL, "the group was issued");
    reel_error_clear();
    CHECK(reel_nccl_begin(other) == REEL_OK, "the first group is open");
    if (!reel_ops_shadow.handle) /* its work would go to a stream that no thread waits for */
        CHECK(reel_nccl_sendrecv(other, &nameless, (me + 1) % 2, byte, 1, 0, NULL, 0) == REEL_INTERNAL,
              "on a stream without a name");
    else
        CHECK(reel_nccl_end(other) == REEL_OK, "%s", reel_error_here()->cause);
    reel_nccl_close(nccl);
    reel_nccl_close(other);
    reel_error_clear();
    check_end(before, 0, 2);
    reel_ops_shadow.release(byte, 1);
}

/* The fake NCCL ends the job. */
static void counts_that_do_not_match(void)
{
    struct reel_nccl *nccl = opened(MPI_COMM_WORLD);
    unsigned char *bytes = reel_ops_shadow.allocate(16);
    CHECK(reel_nccl_begin(nccl) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(reel_nccl_sendrecv(nccl, &stream, 1 - me, bytes, me == 0 ? 8 : 5, 1 - me, bytes + 8,
                             me == 0 ? 5 : 7) == REEL_OK,
          "%s", reel_error_here()->cause);
    CHECK(reel_nccl_end(nccl) != REEL_OK, "nobody noticed");
    sleep(60); /* the other rank finds the mismatch and ends this one */
}

int main(int argc, char **argv)
{
    exchange_start(argc, argv);
    if (argc > 1 && strcmp(argv[1], "mismatch") == 0) {
        RUN(counts_that_do_not_match);
    } else {
        RUN(bytes_arrive_in_uneven_long_and_empty_swaps);
        RUN(nothing_is_hurried_while_calls_are_in_progress);
        RUN(gathering_sends_the_same_bytes_to_all);
        RUN(communicators_stand_side_by_side);
        RUN(two_threads_exchange_at_once);
        RUN(a_group_is_work_of_the_stream_that_was_given);
        RUN(a_preempted_job_closes_in_peace);
        RUN(misuse_is_a_defect_and_no_hang);
    }
    return exchange_end();
}
