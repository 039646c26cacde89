/* With the fake NCCL, which fails, hangs and is aborted: every rank learns of it, and no rank waits for ever.
 *
 * With the argument "environment" only the test runs that needs the fake's environment variables. */
#include "exchange.h"
#include "heartbeat.h"
#include "test.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* All ranks fail with the same words, those of the rank that failed, within this time. */
static void check_failed_open(const char *words, double seconds)
{
    struct reel_nccl_counts before = reel_nccl_fake_counts();
    struct reel_nccl *nccl = (struct reel_nccl *)&nccl;
    double began = now();
    enum reel_status status = reel_nccl_open(MPI_COMM_WORLD, seconds, &nccl);
    double took = now() - began;
    CHECK(status == REEL_BAD_COMM && !nccl && reel_error_here()->status == status, "%d, %p", (int)status,
          (void *)nccl);
    CHECK(strstr(reel_error_here()->cause, words) &&
              strstr(reel_error_here()->cause, "communication.transport"),
          "%s", reel_error_here()->cause);
    CHECK(took < seconds + 5, "it took %g s", took);
    struct reel_nccl_counts after = reel_nccl_fake_counts();
    check_end(before, 0, after.started - before.started);
    reel_error_clear();
    struct reel_nccl *next = opened(MPI_COMM_WORLD); /* a new communicator works */
    exchange(next, me, size, uneven, 1);
    reel_nccl_close(next);
}

static void an_open_that_fails_on_one_rank_fails_on_all(void)
{
    char words[96];
    if (me == 0)
        reel_nccl_fake_plan(REEL_NCCL_ID_FAILS, 1);
    check_failed_open("planned: no id", exchange_patience);
    for (int late = 0; late < 2; late++)
        for (int rank = 0; rank<size; rank += size> 1 ? size - 1 : 1) {
            double began = now();
            reel_nccl_fake_slow((uint64_t)me, late ? 30 : 0);
            if (me == rank)
                reel_nccl_fake_plan(late ? REEL_NCCL_INIT_FAILS : REEL_NCCL_INIT_REFUSED, 1);
            snprintf(words, sizeof words, "connecting on rank %d of an axis of %d: %s", rank, size,
                     late ? "unhandled system error" : "invalid usage");
            check_failed_open(words, exchange_patience);
            CHECK(now() - began < exchange_patience / 4, "nobody told the others: %g s", now() - began);
        }
    reel_nccl_fake_slow(0, 0);
}

static void an_open_that_does_not_end_on_one_rank_fails_on_all_in_time(void)
{
    double began = now();
    if (me == size - 1)
        reel_nccl_fake_plan(REEL_NCCL_INIT_HANGS, 1);
    check_failed_open("not done within 0.6 s (communication.timeout_s)", 0.6);
    CHECK(now() - began > 0.5, "it gave up after %g s", now() - began);
}

/* Later calls are refused, in any order, and no rank waits. */
static void check_is_broken(struct reel_nccl *nccl, const char *words)
{
    CHECK(strstr(reel_error_here()->cause, words) &&
              strstr(reel_error_here()->cause, "communication.transport"),
          "%s", reel_error_here()->cause);
    CHECK(reel_nccl_begin(nccl) == REEL_BAD_COMM, "a group began");
    CHECK(reel_nccl_sendrecv(nccl, &stream, 0, NULL, 0, 0, NULL, 0) == REEL_BAD_COMM, "an exchange came");
    CHECK(reel_nccl_end(nccl) == REEL_BAD_COMM, "a group ended");
    CHECK(reel_nccl_check(nccl) == REEL_BAD_COMM, "all is well");
}

static void what_one_rank_notices_later_is_found_and_stays(void)
{
    static const struct {
        enum reel_nccl_trouble trouble;
        const char *words;
    } cases[] = {{REEL_NCCL_POLL_FAILS, "remote process exited"},
                 {REEL_NCCL_GROUP_FAILS, "unhandled system error (planned: a group failed)"}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct reel_nccl_counts before = reel_nccl_fake_counts();
        struct reel_nccl *nccl = opened(MPI_COMM_WORLD), *other = opened(MPI_COMM_WORLD);
        int fails = me == size - 1 && (size > 1 || c == 0);
        exchange(nccl, me, size, uneven, 1);
        if (c == 0 && fails)
            reel_nccl_fake_plan(cases[c].trouble, 1);
        if (c == 1 && fails) {
            unsigned char *byte = reel_ops_shadow.allocate(1);
            reel_nccl_fake_plan(cases[c].trouble, 1);
            reel_nccl_fake_slow(1, 5);
            CHECK(reel_nccl_begin(nccl) == REEL_OK &&
                      reel_nccl_sendrecv(nccl, &stream, 0, byte, 1, 0, NULL, 0) == REEL_OK,
                  "%s", reel_error_here()->cause);
            CHECK(reel_nccl_end(nccl) == REEL_BAD_COMM, "the group was issued");
            reel_nccl_fake_slow(0, 0);
            reel_ops_shadow.release(byte, 1);
        } else if (c == 1 && size > 1 && me == 0) {
            unsigned char *byte = reel_ops_shadow.allocate(1);
            CHECK(reel_nccl_begin(nccl) == REEL_OK &&
                      reel_nccl_sendrecv(nccl, &stream, 0, NULL, 0, size - 1, byte, 1) == REEL_OK &&
                      reel_nccl_end(nccl) == REEL_OK,
                  "%s", reel_error_here()->cause);
            reel_ops_shadow.release(byte, 1);
        }
        CHECK(reel_nccl_check(nccl) == (fails ? REEL_BAD_COMM : REEL_OK), "%s", reel_error_here()->cause);
        if (fails)
            check_is_broken(nccl, cases[c].words);
        if (me == 0 && !fails)
            reel_fail(REEL_BAD_COMM, "another rank has said so");
        int aborts = fails || me == 0; /* the other ranks know of no failure and close normally */
        reel_nccl_close(nccl);
        reel_nccl_close(other);
        reel_error_clear();
        check_end(before, aborts ? 0 : 2, aborts ? 2 : 0);
    }
}

/* No byte of the group may have moved, and no rank's group may stay open. */
static void a_group_that_is_refused_is_over(void)
{
    static const enum reel_nccl_trouble troubles[] = {REEL_NCCL_SEND_REFUSED, REEL_NCCL_GROUP_REFUSED};
    unsigned char *bytes = reel_ops_shadow.allocate(8);
    for (size_t t = 0; size > 1 && t < sizeof troubles / sizeof troubles[0]; t++) {
        struct reel_nccl_counts before = reel_nccl_fake_counts();
        struct reel_nccl *nccl = opened(MPI_COMM_WORLD);
        reel_nccl_fake_plan(troubles[t], 1);
        CHECK(reel_nccl_begin(nccl) == REEL_OK, "%s", reel_error_here()->cause);
        enum reel_status status = reel_nccl_sendrecv(nccl, &stream, (me + 1) % size, bytes, 3,
                                                     (me - 1 + size) % size, bytes + 4, 3);
        CHECK(status == (t == 0 ? REEL_BAD_COMM : REEL_OK), "%d: %s", (int)status, reel_error_here()->cause);
        CHECK(reel_nccl_end(nccl) == REEL_BAD_COMM, "the group was issued");
        check_is_broken(nccl, t == 0 ? "sending on rank" : "exchanging on rank");
        reel_nccl_close(nccl);
        reel_error_clear();
        CHECK(reel_nccl_fake_counts().groups == before.groups, "bytes moved");
        check_end(before, 0, 1);
        nccl = opened(MPI_COMM_WORLD);
        exchange(nccl, me, size, uneven, 1);
        reel_nccl_close(nccl);
    }
    CHECK(bytes, "no memory");
    reel_ops_shadow.release(bytes, 8);
}

/* Waits for a group that is never issued. */
static void hang(struct reel_nccl *nccl)
{
    unsigned char *byte = reel_ops_shadow.allocate(1);
    reel_nccl_fake_plan(REEL_NCCL_GROUP_HANGS, 1);
    CHECK(reel_nccl_begin(nccl) == REEL_OK &&
              reel_nccl_sendrecv(nccl, &stream, (me + 1) % size, byte, 1, 0, NULL, 0) == REEL_OK,
          "%s", reel_error_here()->cause);
    CHECK(reel_nccl_end(nccl) == REEL_BAD_COMM, "the group was issued");
    reel_ops_shadow.release(byte, 1);
}

static void waiting_for_a_group_has_an_end_and_gives_no_sign_of_life(void)
{
    struct reel_nccl *nccl;
    CHECK(reel_nccl_open(MPI_COMM_WORLD, 0.5, &nccl) == REEL_OK, "%s", reel_error_here()->cause);
    if (size > 1) {
        double began = now();
        int64_t beats = reel_heartbeat_count();
        hang(nccl);
        CHECK(now() - began > 0.4 && now() - began < 5, "it took %g s", now() - began);
        CHECK(reel_heartbeat_count() - beats < 10, "%lld signs of life",
              (long long)(reel_heartbeat_count() - beats));
        check_is_broken(nccl, "not done within 0.5 s (communication.timeout_s)");
    }
    reel_nccl_close(nccl);
    reel_error_clear();
}

/* Aborts from another thread, like the watchdog's, while this thread waits for NCCL. */
static void *abort_later(void *context)
{
    double *took = context;
    usleep(300000);
    *took = now();
    reel_nccl_abort_all(5);
    *took = now() - *took;
    return NULL;
}

static void whoever_waits_is_woken_by_an_abort(void)
{
    struct reel_nccl_counts before = reel_nccl_fake_counts();
    struct reel_nccl *nccl = opened(MPI_COMM_WORLD), *other = opened(MPI_COMM_WORLD);
    double took = 0, began = now();
    pthread_t thread;
    pthread_create(&thread, NULL, abort_later, &took);
    if (size > 1)
        hang(nccl);
    pthread_join(thread, NULL);
    CHECK(took < 4 && now() - began < exchange_patience / 4, "it took %g s, the abort %g", now() - began,
          took);
    CHECK(reel_nccl_begin(other) == REEL_BAD_COMM && reel_nccl_check(nccl) == REEL_BAD_COMM,
          "a communicator lives");
    CHECK(strstr(reel_error_here()->cause, "aborted"), "%s", reel_error_here()->cause);
    reel_nccl_close(nccl);
    reel_nccl_close(other);
    reel_error_clear();
    check_end(before, 0, 2);
    reel_nccl_abort_all(5); /* no communicator is left */
}

static void an_abort_waits_for_the_end_of_a_group(void)
{
    struct reel_nccl_counts before = reel_nccl_fake_counts();
    struct reel_nccl *nccl = opened(MPI_COMM_WORLD);
    int to = (me + 1) % size, from = (me - 1 + size) % size;
    double began = now();
    CHECK(reel_nccl_begin(nccl) == REEL_OK && reel_nccl_sendrecv(nccl, &stream, to, room.out.device, size > 1,
                                                                 from, room.in.device, size > 1) == REEL_OK,
          "%s", reel_error_here()->cause);
    reel_nccl_abort_all(0.3);
    CHECK(now() - began > 0.25 && now() - began < 5, "it took %g s", now() - began);
    check_end(before, 0, 0);
    CHECK(reel_nccl_end(nccl) == REEL_OK, "%s", reel_error_here()->cause);
    reel_nccl_abort_all(5);
    CHECK(reel_nccl_begin(nccl) == REEL_BAD_COMM, "it lives");
    reel_nccl_close(nccl);
    reel_error_clear();
    check_end(before, 0, 1);
}

static void a_close_that_does_not_end_is_an_abort(void)
{
    struct reel_nccl_counts before = reel_nccl_fake_counts();
    struct reel_nccl *nccl;
    double began = now();
    CHECK(reel_nccl_open(MPI_COMM_WORLD, 0.5, &nccl) == REEL_OK, "%s", reel_error_here()->cause);
    reel_nccl_fake_plan(REEL_NCCL_CLOSE_HANGS, 1);
    reel_nccl_close(nccl);
    CHECK(now() - began < 5 && reel_error_here()->status == REEL_OK, "%s", reel_error_here()->cause);
    check_end(before, 0, 1);
}

/* Must run last: it leaves one communicator behind. */
static void an_abort_that_hangs_ends_in_time_and_holds_up_no_other(void)
{
    struct reel_nccl_counts before = reel_nccl_fake_counts();
    struct reel_nccl *all[3];
    for (int i = 0; i < 3; i++)
        all[i] = opened(MPI_COMM_WORLD);
    double began = now();
    reel_nccl_fake_plan(REEL_NCCL_ABORT_HANGS, 1);
    reel_nccl_abort_all(0.5);
    CHECK(now() - began > 0.45 && now() - began < 4, "it took %g s", now() - began);
    check_end(before, 0, 2);
    began = now();
    reel_nccl_close(all[1]);
    CHECK(now() - began < 9, "it took %g s", now() - began);
    reel_error_clear();
}

/* Runs with REEL_NCCL_TROUBLE=init-fails:1:1 REEL_NCCL_SLOW=3:20. */
static void trouble_comes_from_the_environment(void)
{
    check_failed_open("connecting on rank 1 of an axis of 2: unhandled system error", exchange_patience);
    CHECK(reel_nccl_fake_counts().looks > 0, "nothing was in progress");
}

int main(int argc, char **argv)
{
    exchange_start(argc, argv);
    if (argc > 1 && strcmp(argv[1], "environment") == 0) {
        RUN(trouble_comes_from_the_environment);
    } else {
        RUN(an_open_that_fails_on_one_rank_fails_on_all);
        RUN(an_open_that_does_not_end_on_one_rank_fails_on_all_in_time);
        RUN(what_one_rank_notices_later_is_found_and_stays);
        RUN(a_group_that_is_refused_is_over);
        RUN(waiting_for_a_group_has_an_end_and_gives_no_sign_of_life);
        RUN(whoever_waits_is_woken_by_an_abort);
        RUN(an_abort_waits_for_the_end_of_a_group);
        RUN(a_close_that_does_not_end_is_an_abort);
        RUN(an_abort_that_hangs_ends_in_time_and_holds_up_no_other);
    }
    return exchange_end();
}
