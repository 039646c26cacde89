/* Which uses of memory and of streams the shadow backend refuses, each tested in a child process. */
#include "shadow.h"

#include "child.h"
#include "streams.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

static void read_what_nobody_wrote(void)
{
    start();
    use(&a, x, y);
}

static void read_what_is_written_in_part(void)
{
    start();
    reel_upload(&a, x, host, N * 4 - 1);
    use(&a, x, y);
}

static void read_memory_that_was_freed(void)
{
    start();
    fill(&a, x);
    reel_ops_shadow.release(device, BYTES);
    float *again = reel_ops_shadow.allocate(BYTES);
    use(&a, again + (x - device), again);
}

static void fresh_memory_is_no_number(void)
{
    start();
    reel_shadow_open_memory();
    reel_shadow_open_memory();
    reel_shadow_close_memory();
    for (int i = 0; i < FLOATS; i++)
        if (!isnan(device[i]))
            exit(1);
    x[0] = 1;
    reel_shadow_close_memory();
}

static void what_nobody_has_written_is_not_read(void)
{
    ABORTS(read_what_nobody_wrote,
           "silu on stream 0 reads x at byte 64 of its region, which nobody has written");
    ABORTS(read_what_is_written_in_part, "reads x at byte 127 of its region, which nobody has written");
    ABORTS(read_memory_that_was_freed, "reads x at byte 64 of its region, which nobody has written");
    PASSES(fresh_memory_is_no_number);
}

static void read_beyond_the_region(void)
{
    start();
    reel_clear(&a, (struct reel_clear){.bytes = BYTES, .to = device});
    use(&a, device + FLOATS - N + 1, y);
}

static void read_up_to_the_end_of_the_region(void)
{
    start();
    reel_clear(&a, (struct reel_clear){.bytes = BYTES, .to = device});
    use(&a, device + FLOATS - N, y);
}

static void read_memory_of_the_host(void)
{
    start();
    use(&a, host, y);
}

static void write_memory_of_the_host(void)
{
    start();
    fill(&a, host);
}

static void upload_from_the_device(void)
{
    start();
    fill(&a, x);
    reel_upload(&a, y, x, N * 4);
}

static void download_to_the_device(void)
{
    start();
    fill(&a, x);
    reel_download(&a, y, x, N * 4);
}

/* Device memory is open, as while another thread computes, so that the checks of arguments in ops.c can read
 * it. */
static void count_heads_on_the_device(void)
{
    start();
    fill(&a, x);
    reel_shadow_open_memory();
    int64_t *first_head = (int64_t *)(void *)z;
    first_head[0] = 0;
    first_head[1] = 2;
    reel_merge_heads(
        &a, (struct reel_merge_heads){
                .rows = 1, .heads = 2, .channels = 8, .parts = 1, .first_head = first_head, .x = x, .y = y});
}

static void arrays_lie_where_they_belong(void)
{
    ABORTS(read_beyond_the_region,
           "silu: x begins at byte 4036 of its region and goes 4 bytes beyond its end");
    PASSES(read_up_to_the_end_of_the_region);
    ABORTS(read_memory_of_the_host, "silu: x is not device memory");
    ABORTS(write_memory_of_the_host, "clear: to is not device memory");
    ABORTS(upload_from_the_device, "copy: from is device memory");
    ABORTS(download_to_the_device, "copy: to is device memory");
    ABORTS(count_heads_on_the_device, "merge_heads: first_head is device memory, expected host memory");
}

/* Four tokens and a table whose rows 0, 2 and 3 are written; the third token uses the given row. */
static void expand(int32_t row)
{
    enum { D = 5, STRIDE = 7, ROWS = 4 };
    int32_t of_token[] = {3, 0, row, 3};
    start();
    for (int r = 0; r < ROWS; r++)
        if (r != 1)
            reel_upload(&a, x + r * STRIDE, host, D * 4);
    reel_upload(&a, z, of_token, sizeof of_token);
    reel_expand(&a,
                (struct reel_expand){
                    .rows = 4,
                    .width = D,
                    .embedding = {.table = x, .stride = STRIDE, .of_token = (const int32_t *)(const void *)z},
                    .y = y});
}

static void expand_a_row_that_is_written(void)
{
    expand(2);
}

static void expand_a_row_that_is_not(void)
{
    expand(1);
}

static void expand_a_row_below_the_first(void)
{
    expand(-1);
}

static void expand_a_row_beyond_the_table(void)
{
    expand(1 << 20);
}

static void tables_are_read_where_tokens_use_them(void)
{
    PASSES(expand_a_row_that_is_written);
    ABORTS(expand_a_row_that_is_not, "expand on stream 0 reads table at byte 92 of its region, which nobody");
    ABORTS(expand_a_row_below_the_first, "expand: a token uses row -1 of the table");
    ABORTS(expand_a_row_beyond_the_table, "expand: table is not device memory");
}

/* Two streams copy to rows of two columns of bytes in one buffer. */
static void copy_beside_each_other(int64_t second_from)
{
    enum { ROWS = 5, STRIDE = 40 };
    start();
    struct reel_copy copy = {
        .rows = ROWS, .row_bytes = 12, .from = host, .from_stride = 12, .to = x, .to_stride = STRIDE};
    reel_copy(&a, copy);
    copy.to = (char *)x + second_from;
    reel_copy(&b, copy);
    copy.direction = REEL_FROM_DEVICE;
    copy.from = copy.to;
    copy.to = host;
    copy.from_stride = STRIDE;
    copy.to_stride = 12;
    reel_copy(&b, copy);
}

static void copy_to_columns_that_are_apart(void)
{
    copy_beside_each_other(12);
}

static void copy_to_columns_that_share_a_byte(void)
{
    copy_beside_each_other(11);
}

static void copy_to_columns_whose_last_row_meets_the_first(void)
{
    copy_beside_each_other(29);
}

static void gaps_between_rows_are_nobodys(void)
{
    PASSES(copy_to_columns_that_are_apart);
    ABORTS(copy_to_columns_that_share_a_byte, "copy on stream 1 writes to at byte 75 of its region");
    ABORTS(copy_to_columns_whose_last_row_meets_the_first,
           "copy on stream 1 writes to at byte 104 of its region");
}

static void use_in_place(void)
{
    start();
    fill(&a, x);
    use(&a, x, x);
}

static void use_one_further(void)
{
    start();
    fill(&a, x);
    use(&a, x, x + 1);
}

static void add_to_itself(void)
{
    start();
    fill(&a, x);
    reel_gated_add(&a, (struct reel_gated_add){.rows = 1, .width = N, .x = x, .y = x});
}

static void outputs_lie_where_inputs_do_only_where_that_is_allowed(void)
{
    PASSES(use_in_place);
    ABORTS(use_one_further,
           "silu on stream 0 writes y at byte 68 of its region, which it reads as another array");
    ABORTS(add_to_itself,
           "gated_add on stream 0 writes x at byte 64 of its region, which it reads as another");
}

static void use_without_opening(void)
{
    start();
    struct reel_stream never = {.ops = &reel_ops_shadow};
    fill(&never, x);
}

static void use_after_closing(void)
{
    start();
    struct reel_stream closed = a;
    reel_stream_close(&a);
    fill(&closed, x);
}

static void open_and_close_often(void)
{
    start();
    for (int i = 0; i < 1000; i++) {
        struct reel_stream more;
        reel_stream_open_side(&more, &reel_ops_shadow);
        fill(&more, x);
        reel_stream_close(&more);
    }
}

static void open_and_never_close(void)
{
    static struct reel_stream more[100];
    start();
    for (int i = 0; i < 100; i++)
        reel_stream_open_side(&more[i], &reel_ops_shadow);
}

static void multiply_beside(void)
{
    start();
    fill(&a, x);
    reel_gemm(&a, (struct reel_gemm){.rows = 1, .in = N, .out = 1, .x = x, .weight = x, .y = y});
}

static const struct reel_scratch max = {.in = N, .channels = N, .threads = 1};

/* Two streams that compute on the same scratch memory. */
static void multiply_on_common_scratch(void)
{
    start();
    int64_t bytes = reel_scratch_bytes(&reel_ops_shadow, &max);
    void *scratch = reel_ops_shadow.allocate(bytes);
    struct reel_stream first, second;
    reel_stream_open(&first, &reel_ops_shadow, &max, scratch);
    reel_stream_open(&second, &reel_ops_shadow, &max, scratch);
    fill(&a, x);
    reel_finish(&a);
    reel_gemm(&first, (struct reel_gemm){.rows = 1, .in = N, .out = 1, .x = x, .weight = x, .y = y});
    reel_gemm(&second, (struct reel_gemm){.rows = 1, .in = N, .out = 1, .x = x, .weight = x, .y = z});
}

static void open_on_scratch_of_the_host(void)
{
    struct reel_stream stream;
    reel_stream_open(&stream, &reel_ops_shadow, &max, host);
}

static void open_on_little_scratch(void)
{
    start();
    struct reel_stream stream;
    reel_stream_open(&stream, &reel_ops_shadow, &max, device);
}

static void streams_are_open_and_have_what_they_need(void)
{
    ABORTS(use_without_opening, "clear on a stream that is not open");
    ABORTS(use_after_closing, "clear on a stream that is not open");
    PASSES(open_and_close_often);
    ABORTS(open_and_never_close, "a stream is opened while 32 others are");
    ABORTS(multiply_beside, "gemm on stream 0, which is a side stream and has no scratch memory");
    ABORTS(multiply_on_common_scratch,
           "gemm on stream 4 writes scratch at byte 0 of its region, which gemm on");
    ABORTS(open_on_scratch_of_the_host, "scratch memory that is not device memory");
    ABORTS(open_on_little_scratch, "of scratch memory, and its region ends after 4096");
}

static void go_on_after_a_failure(void)
{
    start();
    reel_stream_fail(&a, REEL_BAD_DEVICE, "planted");
    fill(&a, x);
    reel_stream_wait(&b, &a);
    use(&b, x, y);
    reel_error_clear();
}

static void go_on_after_a_failed_stream_is_closed(void)
{
    go_on_after_a_failure();
    reel_stream_close(&a);
    use(&b, z, y);
}

static void failures_are_not_reported_twice(void)
{
    PASSES(go_on_after_a_failure);
    ABORTS(go_on_after_a_failed_stream_is_closed,
           "silu on stream 1 reads x at byte 512 of its region, which nobody");
}

int main(void)
{
    RUN(what_nobody_has_written_is_not_read);
    RUN(arrays_lie_where_they_belong);
    RUN(tables_are_read_where_tokens_use_them);
    RUN(gaps_between_rows_are_nobodys);
    RUN(outputs_lie_where_inputs_do_only_where_that_is_allowed);
    RUN(streams_are_open_and_have_what_they_need);
    RUN(failures_are_not_reported_twice);
    return test_end();
}
