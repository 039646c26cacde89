/* The CUDA backend's layout by heads, patches, solver, copies and streams against the CPU's. */
#include "test.h"
#include "host_device.h"

#include <math.h>
#include <string.h>

enum { BOTH = 2, ROWS = 7, PARTS = 4 };
static const enum reel_dtype dtypes[BOTH] = {REEL_F32, REEL_BF16};

struct heads_case {
    int64_t heads, channels;
    int64_t first_head[PARTS + 1]; /* uneven, some empty */
};
static const struct heads_case heads_cases[] = {{5, 8, {0, 3, 3, 4, 5}},     {5, 6, {0, 0, 2, 5, 5}},
                                                {1, 2, {0, 0, 1, 1, 1}},     {40, 128, {0, 13, 13, 26, 40}},
                                                {12, 128, {0, 3, 6, 9, 12}}, {70, 120, {0, 20, 21, 69, 70}}};
enum { CASES = sizeof heads_cases / sizeof *heads_cases };

/* The arrays of an operation on heads. */
struct heads_arrays {
    struct host_device_array x, norm, table, squares, y, back;
};

static struct heads_arrays heads_make(const struct heads_case *c, enum reel_dtype dtype)
{
    int64_t width = c->heads * c->channels;
    double squares[2 * ROWS];
    for (int64_t i = 0; i < 2 * ROWS; i++)
        squares[i] = (double)(i + 1) * (double)width;
    return (struct heads_arrays){.x = host_device_random(dtype, ROWS * width, 1, 2),
                                 .norm = host_device_random(dtype, width, 2, 1),
                                 .table = host_device_random(REEL_F32, 3 * 16 * c->channels, 3, 1),
                                 .squares = host_device_bytes(squares, sizeof squares),
                                 .y = host_device_blank(dtype, ROWS * width),
                                 .back = host_device_blank(dtype, ROWS * width)};
}

/* variant: 0 has no norm, 1 a norm over all heads, 3 a norm by the sums of squares of every part; 4 more adds
 * RoPE. */
static void split(const struct heads_case *c, const struct heads_arrays *h, int variant, int64_t parts,
                  int64_t rows, int on, void *y)
{
    const int64_t whole[] = {0, c->heads};
    const float *table = h->table.at[on];
    int64_t pairs = c->channels / 2, frame_pairs = pairs - 2 * (pairs / 3);
    struct reel_rope rope = {.frame = table,
                             .row = table + 16 * c->channels,
                             .column = table + 32 * c->channels,
                             .frame_pairs = frame_pairs,
                             .row_pairs = pairs / 3,
                             .column_pairs = pairs / 3,
                             .H = 2,
                             .W = 3,
                             .first_token = 8 + ROWS - rows};
    char *x = (char *)h->x.at[on] + (ROWS - rows) * c->heads * c->channels * reel_dtype_bytes(h->x.dtype);
    reel_split_heads(host_device_stream(on),
                     (struct reel_split_heads){.rows = rows,
                                               .heads = c->heads,
                                               .channels = c->channels,
                                               .dtype = h->x.dtype,
                                               .x = y ? x : h->x.at[on],
                                               .norm = variant & 1 ? h->norm.at[on] : NULL,
                                               .epsilon = 1e-6,
                                               .squares = variant & 2 ? h->squares.at[on] : NULL,
                                               .square_parts = 2,
                                               .norm_width = 2 * c->heads * c->channels,
                                               .rope = variant & 4 ? &rope : NULL,
                                               .parts = parts,
                                               .first_head = parts == 1 ? whole : c->first_head,
                                               .y = y ? y : h->x.at[on]});
}

static void merge(const struct heads_case *c, const struct heads_arrays *h, int on)
{
    reel_merge_heads(host_device_stream(on), (struct reel_merge_heads){.rows = ROWS,
                                                                       .heads = c->heads,
                                                                       .channels = c->channels,
                                                                       .dtype = h->x.dtype,
                                                                       .parts = PARTS,
                                                                       .first_head = c->first_head,
                                                                       .x = h->y.at[on],
                                                                       .y = h->back.at[on]});
}

static void split_is(const struct heads_case *c, enum reel_dtype dtype, int variant)
{
    struct heads_arrays h = heads_make(c, dtype);
    int64_t row_bytes = c->heads * c->channels * reel_dtype_bytes(dtype);
    for (int on = ON_HOST; on <= ON_DEVICE; on++) {
        split(c, &h, variant, PARTS, ROWS, on, h.y.at[on]);
        merge(c, &h, on);
    }
    if ((variant & 3) == 1) { /* the norm is the only sum that the device adds in an order of its own */
        host_device_close_to("split_heads", &h.y);
        host_device_close_to("merge_heads", &h.back);
    } else {
        host_device_equal("split_heads", &h.y);
        host_device_equal("merge_heads", &h.back);
    }
    /* The last row alone has the result that it has among all rows, and so have all rows in place. */
    char *last = (char *)h.y.at[ON_DEVICE] + (ROWS - 1) * row_bytes;
    if (!(variant & 2)) {
        split(c, &h, variant, 1, 1, ON_DEVICE, last);
        host_device_same_rows("split_heads", &h.y, &h.back, ROWS - 1, 1, row_bytes);
    }
    split(c, &h, variant, 1, ROWS, ON_DEVICE, NULL);
    host_device_same_rows("split_heads in place", &h.x, &h.back, 0, ROWS, row_bytes);
    host_device_free();
}

static void heads_are_laid_out_as_on_the_host(void)
{
    for (int c = 0; c < CASES; c++)
        for (int p = 0; p < BOTH; p++)
            for (int variant = 0; variant < 8; variant++)
                if (variant & 1 || !(variant & 2))
                    split_is(&heads_cases[c], dtypes[p], variant);
}

static void patches_are(enum reel_dtype dtype, int64_t patch)
{
    enum { F = 3, H = 5, W = 7, C = 6, TOKENS = 61, FIRST = 20 };
    int64_t latents_of_token = patch * patch * C, all = F * H * W * latents_of_token;
    struct host_device_array latents = host_device_random(REEL_F32, all, 1, 3),
                             columns = host_device_blank(dtype, TOKENS * latents_of_token),
                             tokens = host_device_random(REEL_F32, all, 2, 3),
                             velocity = host_device_blank(REEL_F32, all);
    for (int on = ON_HOST; on <= ON_DEVICE; on++) {
        reel_patchify(host_device_stream(on), (struct reel_patchify){TOKENS, FIRST, F, H, W, C, patch, dtype,
                                                                     latents.at[on], columns.at[on]});
        reel_unpatchify(host_device_stream(on),
                        (struct reel_unpatchify){F, H, W, C, patch, tokens.at[on], velocity.at[on]});
    }
    host_device_equal("patchify", &columns);
    host_device_equal("unpatchify", &velocity);
    host_device_free();
}

static void patches_have_the_host_s_bits(void)
{
    for (int p = 0; p < BOTH; p++)
        for (int64_t patch = 1; patch <= 3; patch++)
            patches_are(dtypes[p], patch);
}

static void a_step_of_the_solver_has_the_host_s_bits(void)
{
    enum { C = 3, F = 4, PLANE = 35 };
    for (int variant = 0; variant < 4; variant++) {
        struct host_device_array v = host_device_random(REEL_F32, C * 2 * PLANE, 1, 2),
                                 x = host_device_random(REEL_F32, C * F * PLANE, 2, 2),
                                 m0 = host_device_random(REEL_F32, C * F * PLANE, 3, 2),
                                 m1 = host_device_random(REEL_F32, C * F * PLANE, 4, 2),
                                 last = host_device_random(REEL_F32, C * F * PLANE, 5, 2);
        struct reel_solve a = {.channels = C,
                               .frames = F,
                               .plane = PLANE,
                               .frame = 2,
                               .v_frames = 2,
                               .v_frame = 1,
                               .sigma = 0.731,
                               .corrects = variant & 1,
                               .last_is_result = variant >> 1,
                               .correct_last = 0.9,
                               .correct_0 = 0.31,
                               .correct_1 = -0.29,
                               .correct_estimate = 0.07,
                               .predict_x = 0.83,
                               .predict_0 = 1.7,
                               .predict_1 = -1.6,
                               .predict_v = 0.01};
        for (int on = ON_HOST; on <= ON_DEVICE; on++) {
            a.v = v.at[on], a.x = x.at[on], a.m0 = m0.at[on], a.m1 = m1.at[on], a.last = last.at[on];
            reel_solve(host_device_stream(on), a);
        }
        host_device_equal("x", &x);
        host_device_equal("m0", &m0);
        host_device_equal("m1", &m1);
        host_device_equal("last", &last);
        host_device_free();
    }
}

static void what_is_not_finite_is_found(void)
{
    enum { COUNT = 5003 };
    static const int64_t places[] = {COUNT, 0, 7, 8, 2500, COUNT - 1};
    struct reel_stream *device = host_device_stream(ON_DEVICE);
    struct host_device_array x = host_device_random(REEL_F32, COUNT, 1, 3);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        float *host = x.at[ON_HOST], former = 0;
        int64_t place = places[i], found = place == COUNT ? -1 : place;
        if (place < COUNT) {
            former = host[place];
            host[place] = i & 1 ? NAN : -INFINITY;
            host[COUNT - 1] = NAN; /* not the first one, except in the last case */
        }
        reel_upload(device, x.at[ON_DEVICE], host, COUNT * 4);
        int64_t first = reel_first_nonfinite(device, x.at[ON_DEVICE], COUNT);
        CHECK(first == found, "%lld, expected %lld", (long long)first, (long long)found);
        if (place < COUNT)
            host[place] = former;
    }
    CHECK(reel_first_nonfinite(device, x.at[ON_DEVICE], 4096) == -1, "found in whole chunks of numbers");
    host_device_free();
}

static void copies_go_by_rows(void)
{
    enum { WIDE = 40, NARROW = 12, LINES = 9 };
    struct reel_stream *device = host_device_stream(ON_DEVICE);
    struct host_device_array from = host_device_random(REEL_F32, WIDE * LINES / 4, 1, 3),
                             to = host_device_blank(REEL_F32, WIDE * LINES / 4);
    char back[NARROW * LINES];
    for (int on = ON_HOST; on <= ON_DEVICE; on++) {
        reel_copy(host_device_stream(on),
                  (struct reel_copy){REEL_ON_DEVICE, LINES, NARROW, (char *)from.at[on] + 4, WIDE,
                                     (char *)to.at[on] + 8, WIDE - 8});
        reel_clear(host_device_stream(on), (struct reel_clear){5, (char *)to.at[on] + 3 * (WIDE - 8)});
    }
    host_device_equal("a copy with room between", &to);
    reel_copy(device,
              (struct reel_copy){REEL_FROM_DEVICE, LINES, NARROW, from.at[ON_DEVICE], WIDE, back, NARROW});
    int64_t wrong = 0;
    for (int64_t r = 0; r < LINES; r++)
        wrong += memcmp(back + r * NARROW, (char *)from.at[ON_HOST] + r * WIDE, NARROW) != 0;
    CHECK(wrong == 0, "%lld rows came back as others", (long long)wrong);
    memset(back, 1, sizeof back);
    reel_copy(device,
              (struct reel_copy){REEL_TO_DEVICE, LINES, NARROW, back, NARROW, to.at[ON_DEVICE], WIDE});
    memset(back, 2, sizeof back); /* the caller may change it as soon as the call has returned */
    wrong = 0;
    for (int64_t r = 0; r < LINES; r++)
        wrong += ((const char *)host_device_device(&to))[r * WIDE + NARROW - 1] != 1;
    CHECK(wrong == 0, "%lld rows went as others", (long long)wrong);
    host_device_free();
}

/* A side stream copies the main stream's result, and the main stream waits for the copy. */
static void streams_are_ordered(void)
{
    enum { COUNT = 1 << 16, TURNS = 6 };
    struct reel_stream *device = host_device_stream(ON_DEVICE), aside;
    struct host_device_array x = host_device_random(REEL_F32, COUNT, 1, 1),
                             y = host_device_blank(REEL_F32, COUNT),
                             z = host_device_random(REEL_F32, COUNT, 2, 1);
    const float *first = z.at[ON_HOST];
    float right = first[0];
    reel_stream_open_side(&aside, &reel_ops_cuda);
    for (int turn = 0; turn < TURNS; turn++) {
        reel_silu(device, (struct reel_silu){COUNT, x.at[ON_DEVICE], x.at[ON_DEVICE]});
        reel_stream_wait(&aside, device);
        reel_copy(&aside, (struct reel_copy){.direction = REEL_ON_DEVICE,
                                             .rows = 1,
                                             .row_bytes = COUNT * 4,
                                             .from = x.at[ON_DEVICE],
                                             .to = y.at[ON_DEVICE]});
        reel_stream_wait(device, &aside);
        reel_add_residual(device,
                          (struct reel_add_residual){COUNT, REEL_F32, y.at[ON_DEVICE], z.at[ON_DEVICE]});
        reel_throttle(device);
        float *host = x.at[ON_HOST];
        reel_silu(host_device_stream(ON_HOST), (struct reel_silu){COUNT, host, host});
        right += host[0];
    }
    reel_finish(device);
    CHECK(((const float *)host_device_device(&z))[0] == right, "an order was lost");
    host_device_same_rows("the last copy", &y, &x, 0, 1, COUNT * 4);
    CHECK(aside.status == REEL_OK, "%s", reel_error_here()->cause);
    reel_stream_close(&aside);
    host_device_free();
}

/* A copy to or from pinned host memory is done with that memory when it returns, though the device could
 * access it later. */
static void copies_are_done_with_the_host_s_memory(void)
{
    enum { COUNT = 5000 };
    struct reel_stream *device = host_device_stream(ON_DEVICE);
    struct host_device_array x = host_device_random(REEL_F32, COUNT, 1, 1),
                             y = host_device_blank(REEL_F32, COUNT);
    float *pinned = reel_ops_cuda.allocate_host(COUNT * 4);
    CHECK(pinned != NULL, "no memory of the host");
    memcpy(pinned, x.at[ON_HOST], COUNT * 4);
    reel_upload(device, y.at[ON_DEVICE], pinned, COUNT * 4);
    memset(pinned, 0, COUNT * 4);
    host_device_same_rows("an upload", &y, &x, 0, 1, COUNT * 4);
    reel_silu(device, (struct reel_silu){COUNT, y.at[ON_DEVICE], y.at[ON_DEVICE]});
    reel_download(device, pinned, y.at[ON_DEVICE], COUNT * 4);
    float *host = x.at[ON_HOST];
    reel_silu(host_device_stream(ON_HOST), (struct reel_silu){COUNT, host, host});
    CHECK(memcmp(pinned, host, COUNT * 4) == 0, "a download came late");
    reel_ops_cuda.release_host(pinned, COUNT * 4);
    reel_ops_cuda.release_host(NULL, 0);
    reel_ops_cuda.release(NULL, 0);
    host_device_free();
}

int main(void)
{
    const struct reel_scratch max = {.in = 64, .channels = 32, .threads = 2};
    int skipped = host_device_open(&max);
    if (skipped)
        return skipped;
    RUN(heads_are_laid_out_as_on_the_host);
    RUN(patches_have_the_host_s_bits);
    RUN(a_step_of_the_solver_has_the_host_s_bits);
    RUN(what_is_not_finite_is_found);
    RUN(copies_go_by_rows);
    RUN(streams_are_ordered);
    RUN(copies_are_done_with_the_host_s_memory);
    host_device_close();
    return test_end();
}
