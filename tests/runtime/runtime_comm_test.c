/* Exchanges move every value to its place for uneven and empty parts, and ranks agree on one error. */
#include "comm.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static struct reel_comm comm;
static struct reel_stream stream = {.ops = &reel_ops_cpu};

/* Value i of those that rank `from` sends to rank `to`. */
static float value(int64_t from, int64_t to, int64_t i)
{
    return (float)(from * 10000 + to * 1000 + i);
}

static void an_exchange_of_uneven_counts_arrives_in_order(void)
{
    int64_t me = comm.sequence.rank, size = comm.sequence.size, send_bytes[8] = {0}, receive_bytes[8] = {0},
            sent = 0, got = 0;
    for (int64_t p = 0; p < size; p++) {
        send_bytes[p] = 4 * ((me + 2 * p) % 5); /* some are empty */
        receive_bytes[p] = 4 * ((p + 2 * me) % 5);
        sent += send_bytes[p] / 4;
        got += receive_bytes[p] / 4;
    }
    float *send = calloc((size_t)(sent + 1), sizeof *send),
          *receive = malloc((size_t)(got + 1) * sizeof *receive);
    int64_t at = 0, before = comm.sequence.sent_bytes[REEL_TRAFFIC_HEADS];
    for (int64_t p = 0; p < size; p++)
        for (int64_t i = 0; i < send_bytes[p] / 4; i++)
            send[at++] = value(me, p, i);
    reel_alltoall(&comm.sequence, &stream, REEL_TRAFFIC_HEADS, send, send_bytes, receive, receive_bytes, 0);
    at = 0;
    for (int64_t p = 0; p < size; p++)
        for (int64_t i = 0; i < receive_bytes[p] / 4; i++, at++)
            CHECK(receive[at] == value(p, me, i), "from %lld at %lld: %g", (long long)p, (long long)i,
                  (double)receive[at]);
    CHECK(comm.sequence.sent_bytes[REEL_TRAFFIC_HEADS] - before == 4 * sent - send_bytes[me],
          "%lld bytes counted", (long long)(comm.sequence.sent_bytes[REEL_TRAFFIC_HEADS] - before));
    CHECK(stream.status == REEL_OK, "%s", reel_error_here()->cause);
    free(send);
    free(receive);
}

static void gathering_brings_every_part_together_where_some_are_empty(void)
{
    int64_t me = comm.sequence.rank;
    struct reel_cut rows = reel_cut_even(2, comm.sequence.size); /* with 3 ranks or more, some have no rows */
    float mine[6] = {0}, all[6] = {0};
    for (int64_t i = 0; i < 3 * reel_cut_count(&rows, me); i++)
        mine[i] = (float)(3 * rows.first[me] + i);
    reel_allgather(&comm.sequence, &stream, REEL_TRAFFIC_OUTPUT, &rows, 3 * (int64_t)sizeof *mine, mine, all);
    for (int i = 0; i < 6; i++)
        CHECK(all[i] == (float)i, "place %d has %g", i, (double)all[i]);
}

/* More floats than one message takes. */
static void a_long_exchange_is_cut_into_pieces(void)
{
    int64_t size = comm.sequence.size, me = comm.sequence.rank, count = ((int64_t)1 << 26) + 5;
    if (size != 2) { /* 2 x 512 MiB here; more ranks would only need more memory */
        CHECK(size > 0, "no ranks");
        return;
    }
    float *send = calloc((size_t)count, sizeof *send), *receive = calloc((size_t)count, sizeof *receive);
    int64_t send_bytes[2] = {0, 0}, receive_bytes[2] = {0, 0};
    send_bytes[1 - me] = receive_bytes[1 - me] = count * (int64_t)sizeof *send;
    for (int64_t i = 0; i < count; i++)
        send[i] = (float)((i + me) % 8191);
    reel_alltoall(&comm.sequence, &stream, REEL_TRAFFIC_HEADS, send, send_bytes, receive, receive_bytes, 0);
    int64_t wrong = 0;
    for (int64_t i = 0; i < count; i++)
        wrong += receive[i] != (float)((i + 1 - me) % 8191);
    CHECK(wrong == 0, "%lld numbers are wrong", (long long)wrong);
    free(send);
    free(receive);
}

static void every_rank_gets_the_error_of_the_lowest_that_has_one(void)
{
    int64_t size = comm.world.size, me = comm.world.rank;
    CHECK(reel_agree(&comm, REEL_OK) == REEL_OK, "no error, and yet one");
    enum reel_status mine = REEL_OK;
    if (me >= size / 2)
        mine = reel_fail(REEL_BAD_INPUT, "rank %lld cannot", (long long)me);
    enum reel_status verdict = reel_agree(&comm, mine);
    char expected[64];
    snprintf(expected, sizeof expected, "rank %lld cannot", (long long)(size / 2));
    CHECK(verdict == REEL_BAD_INPUT && strcmp(reel_error_here()->cause, expected) == 0, "%d: %s",
          (int)verdict, reel_error_here()->cause);
    reel_error_clear();
}

static void a_defect_is_told_only_where_nothing_else_has_failed(void)
{
    int64_t last = comm.world.size - 1, me = comm.world.rank;
    enum reel_status mine = REEL_OK;
    if (me == last)
        mine = reel_fail(REEL_BAD_DEVICE, "the device of rank %lld is lost", (long long)me);
    else
        mine = reel_fail(REEL_INTERNAL, "rank %lld has got no numbers", (long long)me);
    enum reel_status verdict = reel_agree(&comm, mine);
    CHECK(verdict == REEL_BAD_DEVICE && strstr(reel_error_here()->cause, "is lost"), "%d: %s", (int)verdict,
          reel_error_here()->cause);
    reel_error_clear();
    mine = me == last ? reel_fail(REEL_INTERNAL, "rank %lld is wrong", (long long)me) : REEL_OK;
    verdict = reel_agree(&comm, mine);
    CHECK(verdict == REEL_INTERNAL && strstr(reel_error_here()->cause, "is wrong"), "%d: %s", (int)verdict,
          reel_error_here()->cause);
    reel_error_clear();
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    CHECK(reel_comm_open(MPI_COMM_WORLD, &comm) == REEL_OK, "%s", reel_error_here()->cause);
    struct reel_plan plan = {.mesh = {.cfg = 1, .ring = 1, .ulysses = comm.world.size, .tensor = 1}};
    const struct reel_transport transport = {.ops = &reel_ops_cpu};
    CHECK(reel_comm_mesh(&comm, &plan, &transport) == REEL_OK, "%s", reel_error_here()->cause);
    RUN(an_exchange_of_uneven_counts_arrives_in_order);
    RUN(gathering_brings_every_part_together_where_some_are_empty);
    RUN(a_long_exchange_is_cut_into_pieces);
    RUN(every_rank_gets_the_error_of_the_lowest_that_has_one);
    RUN(a_defect_is_told_only_where_nothing_else_has_failed);
    reel_comm_close(&comm);
    int failed = test_end();
    MPI_Finalize();
    return failed;
}
