/* Which orders of streams the shadow backend refuses, and which it accepts, each tested in a child
 * process. */
#include "shadow.h"

#include "child.h"
#include "streams.h"
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void read_beside_a_write(void)
{
    start();
    fill(&a, x);
    use(&b, x, y);
}

static void read_ordered_after_a_write(void)
{
    start();
    fill(&a, x);
    reel_stream_wait(&b, &a);
    use(&b, x, y);
}

static void read_ordered_before_a_write(void)
{
    start();
    reel_stream_wait(&b, &a);
    fill(&a, x);
    use(&b, x, y);
}

static void read_ordered_over_a_third_stream(void)
{
    start();
    fill(&a, x);
    reel_stream_wait(&c, &a);
    reel_stream_wait(&b, &c);
    use(&b, x, y);
}

static void read_ordered_after_what_is_older(void)
{
    start();
    fill(&a, y);
    reel_stream_wait(&b, &a);
    fill(&a, x);
    use(&b, x, z);
}

static void reads_need_an_order_after_the_write(void)
{
    ABORTS(read_beside_a_write,
           "silu on stream 1 reads x at byte 64 of its region, which clear on stream 0 may "
           "still write: neither reel_stream_wait nor a wait of the host");
    PASSES(read_ordered_after_a_write);
    ABORTS(read_ordered_before_a_write, "which clear on stream 0 may still write");
    PASSES(read_ordered_over_a_third_stream);
    ABORTS(read_ordered_after_what_is_older, "silu on stream 1 reads x at byte 64");
}

static void write_beside_a_read(void)
{
    read_ordered_after_a_write();
    fill(&a, x);
}

static void write_ordered_after_a_read(void)
{
    read_ordered_after_a_write();
    reel_stream_wait(&a, &b);
    fill(&a, x);
}

static void write_beside_the_second_of_two_reads(void)
{
    read_ordered_after_a_write();
    reel_stream_wait(&c, &a);
    use(&c, x, z);
    reel_stream_wait(&a, &b);
    fill(&a, x);
}

static void write_ordered_after_a_read_by_a_later_one(void)
{
    read_ordered_after_a_write();
    reel_stream_wait(&c, &b);
    use(&c, x, z);
    reel_stream_wait(&a, &c);
    fill(&a, x);
}

static void write_beside_a_write(void)
{
    start();
    fill(&a, x);
    fill(&b, x + N - 1);
}

static void writes_need_an_order_after_reads_and_writes(void)
{
    ABORTS(write_beside_a_read,
           "clear on stream 0 writes to at byte 64 of its region, which silu on stream 1 may "
           "still read");
    PASSES(write_ordered_after_a_read);
    ABORTS(write_beside_the_second_of_two_reads, "which silu on stream 2 may still read");
    PASSES(write_ordered_after_a_read_by_a_later_one);
    ABORTS(write_beside_a_write,
           "clear on stream 1 writes to at byte 124 of its region, which clear on stream 0 "
           "may still write");
}

static void finish_and_go_on_elsewhere(void)
{
    start();
    fill(&a, x);
    reel_finish(&a);
    use(&b, x, y);
}

static void finish_of_another_stream(void)
{
    start();
    fill(&a, x);
    reel_finish(&b);
    use(&b, x, y);
}

static void close_and_go_on_elsewhere(void)
{
    start();
    fill(&a, x);
    reel_stream_close(&a);
    use(&b, x, y);
}

static void copy_to_the_host_and_go_on_elsewhere(void)
{
    start();
    fill(&a, x);
    fill(&a, z);
    reel_download(&a, host, z, N * 4);
    use(&b, x, y);
}

static void copy_from_the_host_and_go_on_elsewhere(void)
{
    start();
    reel_upload(&a, x, host, N * 4);
    use(&b, x, y);
}

static void look_for_nonfinite_and_go_on_elsewhere(void)
{
    start();
    fill(&a, x);
    fill(&a, z);
    if (reel_first_nonfinite(&a, z, N) >= 0)
        exit(1);
    use(&b, x, y);
}

static void throttle(int calls)
{
    start();
    fill(&a, x);
    for (int i = 0; i < calls; i++)
        reel_throttle(&a);
    use(&b, x, y);
}

static void pace_twice(void)
{
    throttle(2);
}

static void pace_three_times(void)
{
    throttle(3);
}

static void pace_and_use_what_came_between(void)
{
    start();
    reel_throttle(&a);
    fill(&a, x);
    reel_throttle(&a);
    reel_throttle(&a);
    use(&b, x, y);
}

static void the_host_makes_order_by_waiting(void)
{
    PASSES(finish_and_go_on_elsewhere);
    ABORTS(finish_of_another_stream, "silu on stream 1 reads x");
    PASSES(close_and_go_on_elsewhere);
    PASSES(copy_to_the_host_and_go_on_elsewhere);
    ABORTS(copy_from_the_host_and_go_on_elsewhere, "which copy on stream 0 may still write");
    PASSES(look_for_nonfinite_and_go_on_elsewhere);
    ABORTS(pace_twice, "which clear on stream 0 may still write");
    PASSES(pace_three_times);
    ABORTS(pace_and_use_what_came_between, "which clear on stream 0 may still write");
}

/* Runs work, which waits for stream a in some way, in another thread. */
static void in_a_thread(void *(*work)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) != 0 || pthread_join(thread, NULL) != 0)
        exit(1);
}

static void *downloads(void *context)
{
    reel_download(&a, host, x, N * 4);
    return context;
}

static void *finishes(void *context)
{
    reel_finish(&a);
    return context;
}

static void go_on_after_a_copy_of_another_thread(void)
{
    start();
    fill(&a, x);
    in_a_thread(downloads);
    use(&b, x, y);
}

static void take_the_stream_from_another_thread(void)
{
    start();
    fill(&c, x);
    reel_stream_wait(&a, &c);
    in_a_thread(downloads);
    reel_throttle(&a);
    use(&b, x, y);
}

static void go_on_after_a_finish_of_another_thread(void)
{
    start();
    fill(&a, x);
    in_a_thread(finishes);
    use(&b, x, y);
}

static void threads_learn_from_streams_they_take_and_from_finish(void)
{
    ABORTS(go_on_after_a_copy_of_another_thread, "silu on stream 1 reads x");
    PASSES(take_the_stream_from_another_thread);
    PASSES(go_on_after_a_finish_of_another_thread);
}

/* A transfer from x to y in the order of stream b, of which it knows only the handle, as NCCL does. */
static void exchange(void)
{
    struct reel_stream stream = {.ops = &reel_ops_shadow, .queue = reel_stream_handle(&b)};
    struct reel_shadow_range sends = {.name = "send", .at = x, .row_bytes = N * 4},
                             receives = {.name = "receive", .at = y, .row_bytes = N * 4};
    reel_shadow_touch(&stream, "swap", &sends, 1, &receives, 1);
    reel_shadow_open_memory();
    memcpy(y, x, N * 4);
    reel_shadow_close_memory();
}

static void exchange_beside_a_write(void)
{
    start();
    fill(&a, x);
    exchange();
}

static void exchange_ordered_between_two(void)
{
    start();
    fill(&a, x);
    reel_stream_wait(&b, &a);
    exchange();
    reel_stream_wait(&a, &b);
    use(&a, y, x);
}

static void use_beside_an_exchange(void)
{
    start();
    fill(&a, x);
    reel_stream_wait(&b, &a);
    exchange();
    use(&a, y, z);
}

static void what_others_do_is_checked_as_they_say(void)
{
    ABORTS(exchange_beside_a_write,
           "swap on stream 1 reads send at byte 64 of its region, which clear on stream 0");
    PASSES(exchange_ordered_between_two);
    ABORTS(use_beside_an_exchange,
           "silu on stream 0 reads x at byte 256 of its region, which swap on stream 1");
}

int main(void)
{
    RUN(reads_need_an_order_after_the_write);
    RUN(writes_need_an_order_after_reads_and_writes);
    RUN(the_host_makes_order_by_waiting);
    RUN(threads_learn_from_streams_they_take_and_from_finish);
    RUN(what_others_do_is_checked_as_they_say);
    return test_end();
}
