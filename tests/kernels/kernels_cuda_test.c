/* Every operation of the CUDA backend but GEMM and attention against that of the CPU: the same bits if the
 * arithmetic is the same, equal up to rounding if sums are added in another order. */
#include "test.h"
#include "host_device.h"

#include <math.h>
#include <string.h>

/* One element, less than a chunk of eight, multiples of eight and others, one and more elements per thread,
 * and more than stay in registers. */
static const int64_t widths[] = {1, 5, 8, 13, 40, 264, 1001, 1536, 2056, 8192, 8200};
enum { WIDTHS = sizeof widths / sizeof *widths, ROWS = 7, TABLE_ROWS = 3, BOTH = 2 };
static const int32_t of_token[ROWS] = {0, 2, 1, 1, 0, 2, 2};
static const enum reel_dtype dtypes[BOTH] = {REEL_F32, REEL_BF16};

/* Calls check with one row and with several, for every width and dtype. */
static void each_shape(void (*check)(int64_t rows, int64_t width, enum reel_dtype dtype))
{
    for (int w = 0; w < WIDTHS; w++)
        for (int p = 0; p < BOTH; p++) {
            check(1, widths[w], dtypes[p]);
            host_device_free();
            check(ROWS, widths[w], dtypes[p]);
            host_device_free();
        }
}

/* The address of element `index` of an array, on one side. */
static void *at(const struct host_device_array *array, int on, int64_t index)
{
    return (char *)array->at[on] + index * reel_dtype_bytes(array->dtype);
}

static void layer_norm_is(int64_t rows, int64_t width, enum reel_dtype dtype)
{
    for (int from = 0; from < BOTH; from++) {
        struct host_device_array x = host_device_random(dtypes[from], rows * width, 1, 3),
                                 weight = host_device_random(dtype, width, 2, 1),
                                 bias = host_device_random(dtype, width, 3, 1),
                                 y = host_device_blank(dtype, rows * width),
                                 alone = host_device_blank(dtype, rows * width);
        struct reel_layer_norm a = {
            .rows = rows, .width = width, .x_dtype = dtypes[from], .dtype = dtype, .epsilon = 1e-6};
        for (int on = ON_HOST; on <= ON_DEVICE; on++) {
            a.x = x.at[on], a.weight = weight.at[on], a.bias = bias.at[on], a.y = y.at[on];
            reel_layer_norm(host_device_stream(on), a);
        }
        host_device_close_to("layer_norm", &y);
        int64_t last = (rows - 1) * width;
        a.rows = 1, a.x = at(&x, ON_DEVICE, last), a.y = at(&alone, ON_DEVICE, last);
        reel_layer_norm(host_device_stream(ON_DEVICE), a);
        host_device_same_rows("layer_norm", &alone, &y, rows - 1, 1, width * reel_dtype_bytes(dtype));
        if (from != (int)dtype)
            continue;
        a.rows = rows, a.x = x.at[ON_DEVICE], a.y = x.at[ON_DEVICE];
        reel_layer_norm(host_device_stream(ON_DEVICE), a);
        host_device_same_rows("layer_norm in place", &x, &y, 0, rows, width * reel_dtype_bytes(dtype));
    }
}

static void a_layer_norm_is_the_host_s(void)
{
    each_shape(layer_norm_is);
}

static void modulate_is(int64_t rows, int64_t width, enum reel_dtype dtype)
{
    struct host_device_array x = host_device_random(REEL_F32, rows * width, 1, 3),
                             shift = host_device_random(dtype, width, 2, 1),
                             scale = host_device_random(dtype, width, 3, 1),
                             table = host_device_random(REEL_F32, TABLE_ROWS * 3 * width, 4, 1),
                             index = host_device_bytes(of_token, sizeof of_token),
                             y = host_device_blank(dtype, rows * width),
                             alone = host_device_blank(dtype, rows * width);
    struct reel_modulate a = {.rows = rows,
                              .width = width,
                              .dtype = dtype,
                              .epsilon = 1e-6,
                              .shift_at = width,
                              .scale_at = 2 * width};
    for (int on = ON_HOST; on <= ON_DEVICE; on++) {
        a.x = x.at[on], a.shift = shift.at[on], a.scale = scale.at[on], a.y = y.at[on];
        a.embedding = (struct reel_rows){table.at[on], 3 * width, index.at[on]};
        reel_modulate(host_device_stream(on), a);
    }
    host_device_close_to("modulate", &y);
    int64_t last = (rows - 1) * width;
    a.rows = 1, a.x = at(&x, ON_DEVICE, last), a.y = at(&alone, ON_DEVICE, last);
    a.embedding.of_token += rows - 1;
    reel_modulate(host_device_stream(ON_DEVICE), a);
    host_device_same_rows("modulate", &alone, &y, rows - 1, 1, width * reel_dtype_bytes(dtype));
    if (dtype != REEL_F32)
        return;
    a.rows = rows, a.embedding.of_token -= rows - 1, a.x = x.at[ON_DEVICE], a.y = x.at[ON_DEVICE];
    reel_modulate(host_device_stream(ON_DEVICE), a);
    host_device_same_rows("modulate in place", &x, &y, 0, rows, width * 4);
}

static void a_modulation_is_the_host_s(void)
{
    each_shape(modulate_is);
}

/* With gates from rows of a table by index, from rows in order, and without a gate. */
static void gated_add_is(int64_t rows, int64_t width, enum reel_dtype dtype)
{
    for (int variant = 0; variant < 3; variant++) {
        struct host_device_array x = host_device_random(REEL_F32, rows * width, 1, 3),
                                 y = host_device_random(dtype, rows * width, 2, 1),
                                 gate = host_device_random(dtype, width, 3, 1),
                                 table = host_device_random(REEL_F32, ROWS * 2 * width, 4, 1),
                                 index = host_device_bytes(of_token, sizeof of_token);
        struct reel_gated_add a = {.rows = rows, .width = width, .dtype = dtype, .gate_at = width};
        for (int on = ON_HOST; on <= ON_DEVICE; on++) {
            a.x = x.at[on], a.y = y.at[on], a.gate = variant == 2 ? NULL : gate.at[on];
            a.embedding = (struct reel_rows){table.at[on], 2 * width, variant == 0 ? index.at[on] : NULL};
            reel_gated_add(host_device_stream(on), a);
        }
        host_device_equal("gated_add", &x);
    }
}

static void a_gated_sum_has_the_host_s_bits(void)
{
    each_shape(gated_add_is);
}

/* Sums in double that are added in another order: equal up to an error relative to the host's. */
static void sums_close(const char *what, const struct host_device_array *sums, int64_t count)
{
    const double *right = sums->at[ON_HOST], *found = host_device_device(sums);
    const double bound = 2e-7;
    for (int64_t i = 0; i < count; i++) {
        CHECK(right[i] > 0 && found[i] > right[i] * (1 - bound) && found[i] < right[i] * (1 + bound),
              "%s: sum %lld is %.17g, not %.17g", what, (long long)i, found[i], right[i]);
        CHECK(!(found[i] * (1 + 5e-7) < right[i] * (1 + bound)), "%s: a perturbed sum passes", what);
    }
}

static void squares_is(int64_t rows, int64_t width, enum reel_dtype dtype)
{
    struct host_device_array x = host_device_random(dtype, rows * width, 5, 3),
                             sums = host_device_blank(REEL_F32, rows * 2),
                             alone = host_device_blank(REEL_F32, rows * 2);
    struct reel_rms_squares a = {.rows = rows, .width = width, .dtype = dtype};
    for (int on = ON_HOST; on <= ON_DEVICE; on++) {
        a.x = x.at[on], a.sums = sums.at[on];
        reel_rms_squares(host_device_stream(on), a);
    }
    sums_close("squares", &sums, rows);
    a.rows = 1, a.x = at(&x, ON_DEVICE, (rows - 1) * width),
    a.sums = (double *)alone.at[ON_DEVICE] + rows - 1;
    reel_rms_squares(host_device_stream(ON_DEVICE), a);
    host_device_same_rows("squares", &alone, &sums, rows - 1, 1, sizeof(double));
}

static void squares_are_the_host_s(void)
{
    each_shape(squares_is);
}

static void distances_is(int64_t rows, int64_t width, enum reel_dtype dtype)
{
    struct host_device_array x = host_device_random(REEL_F32, rows * width, 6, 3),
                             previous = host_device_random(REEL_F32, rows * width, 7, 3),
                             difference = host_device_blank(REEL_F32, rows * 2),
                             magnitude = host_device_blank(REEL_F32, rows * 2);
    (void)dtype;
    for (int on = ON_HOST; on <= ON_DEVICE; on++)
        reel_distances(host_device_stream(on), (struct reel_distances){.rows = rows,
                                                                       .width = width,
                                                                       .x = x.at[on],
                                                                       .previous = previous.at[on],
                                                                       .difference = difference.at[on],
                                                                       .magnitude = magnitude.at[on],
                                                                       .stride = 1});
    sums_close("difference", &difference, rows);
    sums_close("magnitude", &magnitude, rows);
    host_device_equal("previous", &previous);
    host_device_same_rows("x is kept", &previous, &x, 0, rows, width * 4);
}

static void distances_are_the_host_s(void)
{
    each_shape(distances_is);
}

static void rows_is(int64_t rows, int64_t width, enum reel_dtype dtype)
{
    int64_t part_stride = (rows * width + 23) / 8 * 8;
    struct host_device_array parts = host_device_random(dtype, 3 * part_stride, 8, 3),
                             row = host_device_random(dtype, width, 9, 1),
                             y = host_device_blank(dtype, rows * width),
                             table = host_device_random(REEL_F32, TABLE_ROWS * width, 10, 1),
                             index = host_device_bytes(of_token, sizeof of_token),
                             expanded = host_device_blank(REEL_F32, rows * width),
                             mixed = host_device_random(REEL_F32, rows * (width + 8), 11, 1);
    for (int on = ON_HOST; on <= ON_DEVICE; on++) {
        struct reel_stream *stream = host_device_stream(on);
        reel_sum_parts(stream, (struct reel_sum_parts){rows, width, 3, part_stride, dtype, parts.at[on],
                                                       row.at[on], y.at[on]});
        reel_add_row(stream, (struct reel_add_row){rows, width, dtype, row.at[on], parts.at[on]});
        reel_expand(stream,
                    (struct reel_expand){rows, width, {table.at[on], width, index.at[on]}, expanded.at[on]});
        reel_blend(stream, (struct reel_blend){rows, width, 0.3, mixed.at[on], width + 8, expanded.at[on]});
    }
    host_device_equal("sum_parts", &y);
    host_device_equal("add_row", &parts);
    host_device_equal("expand", &expanded);
    host_device_equal("blend", &mixed);
}

static void operations_on_rows_have_the_host_s_bits(void)
{
    each_shape(rows_is);
}

static void flat_is(int64_t rows, int64_t width, enum reel_dtype dtype)
{
    int64_t count = rows * width;
    struct host_device_array x = host_device_random(REEL_F32, count, 12, 90),
                             y = host_device_random(REEL_F32, count, 13, 3),
                             silu = host_device_blank(REEL_F32, count),
                             guided = host_device_blank(REEL_F32, count),
                             narrow = host_device_blank(dtype, count), kept = host_device_blank(dtype, count);
    for (int on = ON_HOST; on <= ON_DEVICE; on++) {
        struct reel_stream *stream = host_device_stream(on);
        reel_silu(stream, (struct reel_silu){count, x.at[on], silu.at[on]});
        reel_guide(stream, (struct reel_guide){count, x.at[on], y.at[on], 4.5, guided.at[on]});
        reel_convert(stream, (struct reel_convert){count, dtype, x.at[on], narrow.at[on]});
        reel_keep_residual(stream,
                           (struct reel_keep_residual){count, dtype, x.at[on], y.at[on], kept.at[on]});
        reel_add_residual(stream, (struct reel_add_residual){count, dtype, kept.at[on], x.at[on]});
        reel_guide(stream, (struct reel_guide){count, x.at[on], y.at[on], 1.5, y.at[on]});
        reel_silu(stream, (struct reel_silu){count, x.at[on], x.at[on]});
    }
    host_device_equal("silu", &silu);
    host_device_equal("guide", &guided);
    host_device_equal("convert", &narrow);
    host_device_equal("keep_residual", &kept);
    host_device_equal("guide in place", &y);
    host_device_equal("add_residual, and silu in place", &x);
}

static void operations_on_numbers_have_the_host_s_bits(void)
{
    each_shape(flat_is);
}

enum { OFF_WIDTH = 264 };

/* A modulation with one of its arrays (0 .. 3) at an address that no access of 16 bytes allows, or with none
 * (4). The values are the same. */
static void modulated_off(enum reel_dtype dtype, int which, struct host_device_array *y)
{
    struct host_device_array x = host_device_random(REEL_F32, ROWS * OFF_WIDTH + 1, 14, 3),
                             table = host_device_random(REEL_F32, ROWS * OFF_WIDTH + 1, 15, 1),
                             row = host_device_random(dtype, OFF_WIDTH + 1, 16, 1);
    struct host_device_array *arrays[] = {&x, &table, &row, y};
    if (which < 4) { /* the same values, one element further on */
        int64_t number = reel_dtype_bytes(arrays[which]->dtype);
        memmove((char *)arrays[which]->at[ON_HOST] + number, arrays[which]->at[ON_HOST],
                (size_t)(arrays[which]->bytes - number));
        reel_upload(host_device_stream(ON_DEVICE), arrays[which]->at[ON_DEVICE], arrays[which]->at[ON_HOST],
                    arrays[which]->bytes);
    }
    for (int on = ON_HOST; on <= ON_DEVICE; on++)
        reel_modulate(
            host_device_stream(on),
            (struct reel_modulate){.rows = ROWS,
                                   .width = OFF_WIDTH,
                                   .dtype = dtype,
                                   .x = at(&x, on, which == 0),
                                   .epsilon = 1e-6,
                                   .shift = at(&row, on, which == 2),
                                   .scale = at(&row, on, which == 2),
                                   .embedding = {.table = at(&table, on, which == 1), .stride = OFF_WIDTH},
                                   .y = at(y, on, which == 3)});
}

static void a_row_does_not_depend_on_where_it_lies(void)
{
    char right[ROWS * OFF_WIDTH * 4];
    for (int p = 0; p < BOTH; p++)
        for (int which = 4; which >= 0; which--) {
            size_t number = (size_t)reel_dtype_bytes(dtypes[p]), bytes = ROWS * OFF_WIDTH * number;
            struct host_device_array y = host_device_blank(dtypes[p], ROWS * OFF_WIDTH + 1);
            modulated_off(dtypes[p], which, &y);
            host_device_close_to("modulate off by one", &y);
            const char *found = (const char *)host_device_device(&y) + (which == 3 ? number : 0);
            if (which == 4)
                memcpy(right, found, bytes);
            CHECK(memcmp(right, found, bytes) == 0, "with array %d off by one", which);
            host_device_free();
        }
}

/* Many rows, split into two parts of the heads, and merged again. */
static void split_many(int64_t rows)
{
    enum { HEADS = 2, CHANNELS = 16 };
    const int64_t first_head[] = {0, 1, HEADS};
    struct host_device_array x = host_device_random(REEL_BF16, rows * HEADS * CHANNELS, 20, 3),
                             y = host_device_blank(REEL_BF16, rows * HEADS * CHANNELS);
    for (int on = ON_HOST; on <= ON_DEVICE; on++) {
        struct reel_split_heads a = {.rows = rows,
                                     .heads = HEADS,
                                     .channels = CHANNELS,
                                     .dtype = REEL_BF16,
                                     .x = x.at[on],
                                     .parts = 2,
                                     .first_head = first_head,
                                     .y = y.at[on]};
        reel_split_heads(host_device_stream(on), a);
        reel_merge_heads(
            host_device_stream(on),
            (struct reel_merge_heads){rows, HEADS, CHANNELS, REEL_BF16, 2, first_head, y.at[on], x.at[on]});
    }
    host_device_equal("split_heads of many rows", &y);
    host_device_equal("merge_heads of many rows", &x);
}

/* More blocks than a grid has, in kernels with blocks of rows and in kernels with blocks of elements. */
static void grids_go_on_where_they_end(void)
{
    enum { MANY = (1 << 16) + 5, LARGE = (1 << 25) + 16 };
    struct reel_stream *device = host_device_stream(ON_DEVICE);
    struct host_device_array x = host_device_random(REEL_BF16, MANY, 17, 3),
                             sums = host_device_blank(REEL_F32, MANY * 2);
    for (int on = ON_HOST; on <= ON_DEVICE; on++)
        reel_rms_squares(host_device_stream(on),
                         (struct reel_rms_squares){MANY, 1, REEL_BF16, x.at[on], sums.at[on]});
    host_device_equal("squares of one number", &sums);
    split_many(MANY);
    const float nan = NAN;
    float *large = reel_ops_cuda.allocate(LARGE * 4);
    CHECK(large != NULL, "no memory of the device");
    reel_clear(device, (struct reel_clear){LARGE * 4, large});
    CHECK(reel_first_nonfinite(device, large, LARGE) == -1, "found in zeros");
    reel_upload(device, large + LARGE - 3, &nan, sizeof nan);
    CHECK(reel_first_nonfinite(device, large, LARGE) == LARGE - 3, "not found in the last chunk");
    reel_finish(device);
    reel_ops_cuda.release(large, LARGE * 4);
    host_device_free();
}

static void nothing_is_done_to_no_rows(void)
{
    struct host_device_array x = host_device_random(REEL_F32, 8, 19, 1);
    for (int on = ON_HOST; on <= ON_DEVICE; on++) {
        struct reel_stream *stream = host_device_stream(on);
        void *a = x.at[on];
        const int64_t heads[] = {0, 1};
        reel_layer_norm(stream, (struct reel_layer_norm){.width = 8, .x = a, .weight = a, .bias = a, .y = a});
        reel_gated_add(stream, (struct reel_gated_add){.width = 8, .x = a, .y = a});
        reel_rms_squares(stream, (struct reel_rms_squares){.width = 8, .x = a, .sums = a});
        reel_split_heads(stream,
                         (struct reel_split_heads){
                             .heads = 1, .channels = 8, .x = a, .parts = 1, .first_head = heads, .y = a});
        reel_merge_heads(stream,
                         (struct reel_merge_heads){
                             .heads = 1, .channels = 8, .x = a, .parts = 1, .first_head = heads, .y = a});
        reel_silu(stream, (struct reel_silu){.x = a, .y = a});
        reel_convert(stream, (struct reel_convert){.x = a, .y = a});
        CHECK(stream->status == REEL_OK, "%s", reel_error_here()->cause);
        CHECK(reel_first_nonfinite(stream, a, 0) == -1, "found in nothing");
    }
    host_device_equal("nothing", &x);
    host_device_free();
}

int main(void)
{
    const struct reel_scratch max = {.in = 64, .channels = 32, .threads = 2};
    int skipped = host_device_open(&max);
    if (skipped)
        return skipped;
    RUN(a_layer_norm_is_the_host_s);
    RUN(a_modulation_is_the_host_s);
    RUN(a_gated_sum_has_the_host_s_bits);
    RUN(squares_are_the_host_s);
    RUN(distances_are_the_host_s);
    RUN(operations_on_rows_have_the_host_s_bits);
    RUN(operations_on_numbers_have_the_host_s_bits);
    RUN(a_row_does_not_depend_on_where_it_lies);
    RUN(grids_go_on_where_they_end);
    RUN(nothing_is_done_to_no_rows);
    host_device_close();
    return test_end();
}
