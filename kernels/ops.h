/* The arithmetic that the model is made of: one page of contracts, implemented by one table per backend.
 *
 * An operation is called with a stream and a struct of named fields, so that a call reads as a sentence:
 *
 *     reel_gemm(stream, (struct reel_gemm){.rows = n, .in = D, .out = D, .x = x, .weight = w, .bias = b, .y = y});
 *
 * Arrays lie in the memory of the backend, which the host may not be able to read: what crosses between the two goes
 * through reel_copy. first_head and the struct of a rotation are the host's, and may change as soon as the call returns.
 * All arrays are row-major and dense unless a stride is named; outputs do not overlap inputs unless it says so. Numbers are
 * float, but for arrays of `void`, which are of the precision that the struct names (fp32 where it says nothing); sums and
 * formulas are computed in float or double whatever the arrays hold, and rounded once, when they are written.
 *
 * Operations of one stream take place in their order; a call may return before its operation has begun. Between streams
 * there is no order but what reel_stream_wait makes, and the host knows that something has ended once reel_finish, a copy from
 * the device or reel_first_nonfinite has returned.
 *
 * Zero rows are allowed everywhere and do nothing. A stream is sticky: after a failure every
 * operation on it does nothing, and stream->status holds the first one, whose cause is in the error record
 * (status.h). The caller looks once an iteration. Results do not depend on the number of threads, and the
 * result of a row does not depend on how many rows there are nor on which of them it is: cutting tokens over
 * ranks changes no bit.
 *
 * Nothing here is collective. */
#ifndef REEL_OPS_H
#define REEL_OPS_H

#include "status.h"

#include <stdint.h>

struct reel_ops;
struct reel_simd;

/* What a number of an array is held as. */
enum reel_precision { REEL_FP32, REEL_BFLOAT16, REEL_FP8 };

struct reel_stream {
    const struct reel_ops *ops; /* the backend */
    void *queue;                /* the backend's own; NULL where operations end before they return */
    enum reel_status status;    /* the first failure, REEL_OK while there is none */
    void *scratch;              /* memory of the caller, of the size that reel_scratch_bytes asked for */
    int64_t threads;
    int64_t thread_floats;        /* scratch of one thread */
    const struct reel_simd *simd; /* the host's vectors, chosen when the stream was opened; simd.h */
};

/* The largest of each that the stream will see: it sizes the scratch memory. */
struct reel_scratch {
    int64_t in;       /* columns of a GEMM's input */
    int64_t channels; /* C of attention */
    int64_t threads;
    int fp8; /* whether a GEMM's weights may be REEL_FP8 */
};

enum reel_activation { REEL_IDENTITY, REEL_GELU_TANH, REEL_GELU_ERF, REEL_SILU };

/* y = activation(x weight^T + bias). With weights of REEL_FP8, which are F8_E4M3, x is rounded to F8_E4M3 too, what is
 * beyond its largest number to that, and the product is multiplied by weight_scale. */
struct reel_gemm {
    int64_t rows, in, out;
    enum reel_precision dtype;        /* of x and bias */
    enum reel_precision weight_dtype; /* of weight: that of x, or REEL_FP8 */
    enum reel_precision y_dtype;      /* of y */
    double weight_scale;              /* with REEL_FP8 */
    const void *x;                    /* [rows, in] */
    const void *weight;               /* [out, in] */
    const void *bias;                 /* [out], or NULL */
    void *y;                          /* [rows, out] */
    enum reel_activation activation;
};

/* y = LN(x) * weight + bias, LN(x) = (x - mean) / sqrt(var + epsilon), biased variance over the width. */
struct reel_layer_norm {
    int64_t rows, width;
    enum reel_precision x_dtype; /* of x */
    enum reel_precision dtype;   /* of weight, bias and y */
    const void *x;               /* [rows, width] */
    const void *weight;          /* [width] */
    const void *bias;            /* [width] */
    double epsilon;
    void *y; /* [rows, width]; may be x where both are held alike */
};

/* Rows of an embedding table and which of them a token uses. Row r begins at table + r * stride. */
struct reel_rows {
    const float *table;
    int64_t stride;
    const int32_t *of_token; /* [rows]; NULL: token t uses row t */
};

/* y = LN(x) * (1 + scale + row[scale_at ..]) + shift + row[shift_at ..]: the modulation of a block or of the
 * head. */
struct reel_modulate {
    int64_t rows, width;
    enum reel_precision dtype; /* of shift, scale and y */
    const float *x;            /* [rows, width] */
    double epsilon;
    const void *shift, *scale; /* [width]: the layer's own part */
    struct reel_rows embedding;
    int64_t shift_at, scale_at; /* elements into a row of the table */
    void *y;                    /* [rows, width]; may be x where both are held alike */
};

/* x += y * (gate + row[gate_at ..]); without a gate x += y. */
struct reel_gated_add {
    int64_t rows, width;
    enum reel_precision dtype; /* of y and gate */
    float *x;                  /* [rows, width] */
    const void *y;             /* [rows, width] */
    const void *gate;          /* [width], or NULL: a plain sum */
    struct reel_rows embedding;
    int64_t gate_at;
};

/* Rotation tables, one per axis: [positions][pairs][2], cosine then sine. The first frame_pairs pairs of a
 * head turn with the frame index of the token, the next row_pairs with its row, the last column_pairs with
 * its column. */
struct reel_rope {
    const float *frame, *row, *column;
    int64_t frame_pairs, row_pairs, column_pairs;
    int64_t H, W;        /* token grid of a frame */
    int64_t first_token; /* the index in the sequence of row 0 */
};

/* sums[r] = the sum of x[r, ..]^2, in an order that depends on the width alone. */
struct reel_squares {
    int64_t rows, width;
    enum reel_precision dtype; /* of x */
    const void *x;             /* [rows, width] */
    double *sums;              /* [rows] */
};

/* y = RoPE(x / sqrt(mean(x^2) + epsilon) * norm), laid out by heads for an exchange: part p takes heads
 * [first_head[p], first_head[p + 1]) and begins at y + rows * first_head[p] * channels as [rows, its heads,
 * channels]. With one part that is [rows, heads * channels], and y may be x. The mean is over all heads of the model:
 * where others have some of them, it comes from the sums of squares of every part. */
struct reel_split_heads {
    int64_t rows, heads, channels;
    enum reel_precision dtype; /* of x, norm and y */
    const void *x;             /* [rows, heads * channels] */
    const void *norm;          /* [heads * channels], or NULL: no norm */
    double epsilon;
    const double *squares; /* [square_parts, rows], added in order; or NULL: all heads are here */
    int64_t square_parts;
    int64_t norm_width;           /* with squares: the numbers that the mean is over */
    const struct reel_rope *rope; /* or NULL: no rotation */
    int64_t parts;
    const int64_t *first_head; /* [parts + 1] */
    void *y;
};

/* The inverse of the layout above, without norm or rotation. */
struct reel_merge_heads {
    int64_t rows, heads, channels;
    enum reel_precision dtype; /* of x and y */
    int64_t parts;
    const int64_t *first_head; /* [parts + 1] */
    const void *x;             /* laid out by parts */
    void *y;                   /* [rows, heads * channels] */
};

/* out = softmax(scale q k^T) v per head; with add, out += it. Strides are elements from one row to the next;
 * head n begins at column n * channels. keys >= 1. Memory does not grow with queries * keys.
 *
 * With lse, lse[query, head] = log sum exp(scale q k^T). With merge besides, out and lse already hold attention over other
 * keys, and hold that over both afterwards: out = (e^a out + e^b new) / (e^a + e^b) for the two sums a, b (Milakov and
 * Gimelshein 2018). */
struct reel_attention {
    int64_t queries, keys, heads, channels;
    double scale;
    enum reel_precision dtype; /* of q, k, v and out */
    const void *q;             /* [queries] rows */
    int64_t q_stride;
    const void *k, *v; /* [keys] rows */
    int64_t kv_stride;
    void *out; /* [queries] rows */
    int64_t out_stride;
    int add;
    float *lse; /* [queries, heads], or NULL */
    int merge;
};

/* columns[t] = the 2x2 patch of token first_token + t: column c * 4 + ph * 2 + pw holds channel c, pixel
 * (2i + ph, 2j + pw): channels slowest. */
struct reel_patchify {
    int64_t tokens, first_token;
    int64_t F, H, W, channels; /* the token grid: latents have 2H x 2W pixels */
    enum reel_precision dtype; /* of columns */
    const float *latents;      /* [channels, F, 2H, 2W] */
    void *columns;             /* [tokens, 4 * channels] */
};

/* velocity[c, f, 2i + ph, 2j + pw] = tokens[t][(ph * 2 + pw) * channels + c]: channels fastest, unlike
 * patchify. */
struct reel_unpatchify {
    int64_t F, H, W, channels;
    const float *tokens; /* [F * H * W, 4 * channels] */
    float *velocity;     /* [channels, F, 2H, 2W] */
};

/* out = unconditional + scale * (conditional - unconditional); out may be either of them. */
struct reel_guide {
    int64_t count;
    const float *conditional, *unconditional;
    double scale;
    float *out;
};

/* One step of the solver for one frame, element by element:
 *     estimate = x - sigma v
 *     if corrects:  x = correct_last last + correct_0 m0 + correct_1 m1 + correct_estimate estimate
 *     m1 = m0;  m0 = estimate;  last = x
 *     x = predict_x x + predict_0 m0 + predict_1 m1 + predict_v v
 *     if last_is_result:  last = x */
struct reel_solve {
    int64_t channels, frames, plane; /* arrays are [channels, frames, plane] */
    int64_t frame;
    int64_t v_frames,
        v_frame; /* v is [channels, v_frames, plane], a window of the chunk, and the place in it */
    double sigma;
    int corrects, last_is_result;
    double correct_last, correct_0, correct_1, correct_estimate;
    double predict_x, predict_0, predict_1, predict_v;
    const float *v;
    float *x, *m0, *m1, *last;
};

/* y = silu(x) (x may be y). */
struct reel_silu {
    int64_t count;
    const float *x;
    float *y;
};

/* y = x[0] + x[1] + .. + x[parts - 1] + row, added in this order; part p begins at x + p * part_stride. */
struct reel_sum_parts {
    int64_t rows, width, parts, part_stride;
    enum reel_precision dtype; /* of x, row and y */
    const void *x;             /* [rows, width] of every part */
    const void *row;           /* [width] */
    void *y;                   /* [rows, width] */
};

/* y[t] = the row of the table that token t uses: the expansion of an embedding to the tokens. */
struct reel_expand {
    int64_t rows, width; /* width <= the table's stride */
    struct reel_rows embedding;
    float *y; /* [rows, width] */
};

/* difference[t] = sum |x[t] - previous[t]|, magnitude[t] = sum |previous[t]|, in double and in an order that depends on the
 * width alone; then previous = x. */
struct reel_distances {
    int64_t rows, width;
    const float *x;                 /* [rows, width] */
    float *previous;                /* [rows, width] */
    double *difference, *magnitude; /* element t at t * stride */
    int64_t stride;
};

/* residual = after - before, rounded to bfloat16 when a number of it has 2 bytes, float when it has 4. */
struct reel_keep_residual {
    int64_t count, number_bytes;
    const float *after, *before; /* [count] */
    void *residual;
};

/* x += residual, as it was kept. */
struct reel_add_residual {
    int64_t count, number_bytes;
    const void *residual;
    float *x; /* [count] */
};

/* Every row of y += row. */
struct reel_add_row {
    int64_t rows, width;
    enum reel_precision dtype; /* of row and y */
    const void *row;           /* [width] */
    void *y;                   /* [rows, width] */
};

/* y = x, rounded to the precision. */
struct reel_convert {
    int64_t count;
    enum reel_precision dtype; /* of y: REEL_FP32 or REEL_BFLOAT16 */
    const float *x;
    void *y;
};

/* Rows of bytes from one place to another, dense or with room between. The host's side may be used again as soon as it
 * returns, and what came from the device is there. */
enum reel_direction { REEL_TO_DEVICE, REEL_FROM_DEVICE, REEL_ON_DEVICE };
struct reel_copy {
    enum reel_direction direction;
    int64_t rows, row_bytes;
    const void *from;
    int64_t from_stride; /* bytes from one row to the next */
    void *to;
    int64_t to_stride;
};

/* Zeros. */
struct reel_clear {
    int64_t bytes;
    void *to;
};

/* x = (1 - share) x + share z, in float. */
struct reel_blend {
    int64_t rows, width;
    double share;
    float *x; /* [rows] rows of width */
    int64_t x_stride;
    const float *z; /* [rows, width] */
};

/* A backend: a name, its memory, its streams, and an implementation of each operation; called with checked arguments and at
 * least one row. */
struct reel_ops {
    const char *name;
    const char *(*arithmetic)(void); /* the instruction set, for people; NULL: the device's name says it */
    int (*widens)(void); /* whether bfloat16 is multiplied as float for want of instructions; NULL: no */
    int is_host;         /* the host reads and writes its memory */
    void *(*allocate)(int64_t bytes);             /* aligned to 4 KiB; NULL when there is none */
    void (*release)(void *memory, int64_t bytes); /* NULL is allowed */
    /* Memory of the host that copies to and from the device are fast with; NULL: reel_ops_cpu's. */
    void *(*allocate_host)(int64_t bytes);
    void (*release_host)(void *memory, int64_t bytes);
    int64_t (*taken_bytes)(
        void); /* of the device's memory by this process, libraries included; NULL: not told */
    void (*enter)(struct reel_stream *); /* around every operation; NULL: nothing to do there */
    void (*leave)(struct reel_stream *);
    int64_t (*scratch_bytes)(const struct reel_scratch *max);
    void (*open)(struct reel_stream *stream,
                 const struct reel_scratch *max); /* NULL: for copies and exchanges only */
    /* NULL: operations end before they return, and there is nothing to do. */
    void (*close)(struct reel_stream *stream);
    void (*stream_wait)(struct reel_stream *later, struct reel_stream *earlier);
    void (*throttle)(struct reel_stream *stream);
    void (*finish)(struct reel_stream *stream);
    /* For a profile. A mark is a place in the work of a stream: -1 where no more can be had. open: from now on marks are
     * wanted, and those before are forgotten; 0 where the device refuses. settle: what was issued to any stream has
     * ended; then mark_ns is when the device came by, by the clock of reel_trace_now, and never before an earlier mark
     * of the same stream; -1: not known. mark may be called by any thread, the others by one at a time. NULL, all four:
     * operations end before they return. */
    int (*events_open)(struct reel_stream *stream);
    int64_t (*event)(struct reel_stream *stream);
    void (*events_settle)(struct reel_stream *stream);
    int64_t (*event_ns)(int64_t event);
    /* A part of the model, for tools that look at the device; NULL, both: there are none. */
    void (*range_push)(const char *name);
    void (*range_pop)(void);
    void *(*handle)(const struct reel_stream *stream); /* NULL: streams are known to nobody else */
    void (*gemm)(struct reel_stream *, const struct reel_gemm *);
    void (*layer_norm)(struct reel_stream *, const struct reel_layer_norm *);
    void (*modulate)(struct reel_stream *, const struct reel_modulate *);
    void (*gated_add)(struct reel_stream *, const struct reel_gated_add *);
    void (*squares)(struct reel_stream *, const struct reel_squares *);
    void (*split_heads)(struct reel_stream *, const struct reel_split_heads *);
    void (*merge_heads)(struct reel_stream *, const struct reel_merge_heads *);
    void (*attention)(struct reel_stream *, const struct reel_attention *);
    void (*patchify)(struct reel_stream *, const struct reel_patchify *);
    void (*unpatchify)(struct reel_stream *, const struct reel_unpatchify *);
    void (*guide)(struct reel_stream *, const struct reel_guide *);
    void (*solve)(struct reel_stream *, const struct reel_solve *);
    void (*silu)(struct reel_stream *, const struct reel_silu *);
    void (*sum_parts)(struct reel_stream *, const struct reel_sum_parts *);
    void (*expand)(struct reel_stream *, const struct reel_expand *);
    void (*distances)(struct reel_stream *, const struct reel_distances *);
    void (*keep_residual)(struct reel_stream *, const struct reel_keep_residual *);
    void (*add_residual)(struct reel_stream *, const struct reel_add_residual *);
    void (*add_row)(struct reel_stream *, const struct reel_add_row *);
    void (*convert)(struct reel_stream *, const struct reel_convert *);
    void (*copy)(struct reel_stream *, const struct reel_copy *);
    void (*clear)(struct reel_stream *, const struct reel_clear *);
    void (*blend)(struct reel_stream *, const struct reel_blend *);
    int64_t (*first_nonfinite)(struct reel_stream *, const float *x, int64_t count);
};

/* Arithmetic on the host, by the vectors of simd.h and OpenMP. */
extern const struct reel_ops reel_ops_cpu;

/* The same arithmetic on memory that is unreadable outside an operation, as that of a device is: for tests, which so find
 * where host and device are confused without having one. */
extern const struct reel_ops reel_ops_shadow;

/* Arithmetic on the GPU that gpu.h has set for the calling process; where the program was built without CUDA, a table
 * whose allocate gives nothing. */
extern const struct reel_ops reel_ops_cuda;

/* Memory of the host for what goes to a device of this backend or comes from it; NULL when there is none. Aligned to
 * 4 KiB. release takes NULL too. */
void *reel_allocate_host(const struct reel_ops *ops, int64_t bytes);
void reel_release_host(const struct reel_ops *ops, void *memory, int64_t bytes);

/* The scratch memory that a stream of this backend needs for operations up to that size. */
int64_t reel_scratch_bytes(const struct reel_ops *ops, const struct reel_scratch *max);

/* Opens a stream on scratch memory of that many bytes, aligned to 64, which stays the caller's. Failures are the stream's. */
void reel_stream_open(struct reel_stream *stream, const struct reel_ops *ops, const struct reel_scratch *max,
                      void *scratch);

/* A stream beside another: for copies and exchanges. */
void reel_stream_open_side(struct reel_stream *stream, const struct reel_ops *ops);

/* Waits for what is on its way, and frees what the backend keeps of it. A stream of zeros is allowed. */
void reel_stream_close(struct reel_stream *stream);

/* What is issued to `later` from now on begins when what was issued to `earlier` until now has ended. Does so after
 * failures too. Both are of one backend. */
void reel_stream_wait(struct reel_stream *later, struct reel_stream *earlier);

/* Keeps the host from running far ahead: waits until what was issued before the last call but one has ended. */
void reel_throttle(struct reel_stream *stream);

/* Waits until everything issued has ended; its failures are then the stream's. */
void reel_finish(struct reel_stream *stream);

/* The backend's own name of a stream, for libraries that work beside the backend: a cudaStream_t. NULL where it has none. */
void *reel_stream_handle(const struct reel_stream *stream);

/* Bytes of one number. */
int64_t reel_precision_bytes(enum reel_precision precision);

/* Records a failure on the stream, unless an earlier one stands. */
void reel_stream_fail(struct reel_stream *stream, enum reel_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void reel_gemm(struct reel_stream *stream, struct reel_gemm arguments);
void reel_layer_norm(struct reel_stream *stream, struct reel_layer_norm arguments);
void reel_modulate(struct reel_stream *stream, struct reel_modulate arguments);
void reel_gated_add(struct reel_stream *stream, struct reel_gated_add arguments);
void reel_squares(struct reel_stream *stream, struct reel_squares arguments);
void reel_split_heads(struct reel_stream *stream, struct reel_split_heads arguments);
void reel_merge_heads(struct reel_stream *stream, struct reel_merge_heads arguments);
void reel_attention(struct reel_stream *stream, struct reel_attention arguments);
void reel_patchify(struct reel_stream *stream, struct reel_patchify arguments);
void reel_unpatchify(struct reel_stream *stream, struct reel_unpatchify arguments);
void reel_guide(struct reel_stream *stream, struct reel_guide arguments);
void reel_solve(struct reel_stream *stream, struct reel_solve arguments);
void reel_silu(struct reel_stream *stream, struct reel_silu arguments);
void reel_sum_parts(struct reel_stream *stream, struct reel_sum_parts arguments);
void reel_expand(struct reel_stream *stream, struct reel_expand arguments);
void reel_distances(struct reel_stream *stream, struct reel_distances arguments);
void reel_keep_residual(struct reel_stream *stream, struct reel_keep_residual arguments);
void reel_add_residual(struct reel_stream *stream, struct reel_add_residual arguments);
void reel_add_row(struct reel_stream *stream, struct reel_add_row arguments);
void reel_convert(struct reel_stream *stream, struct reel_convert arguments);
void reel_copy(struct reel_stream *stream, struct reel_copy arguments);
void reel_clear(struct reel_stream *stream, struct reel_clear arguments);
void reel_blend(struct reel_stream *stream, struct reel_blend arguments);

/* So many bytes in one row, from the host or to it. */
void reel_upload(struct reel_stream *stream, void *device, const void *host, int64_t bytes);
void reel_download(struct reel_stream *stream, void *host, const void *device, int64_t bytes);

/* The index of the first element that is NaN or infinite; -1 when all are finite or the stream has failed. */
int64_t reel_first_nonfinite(struct reel_stream *stream, const float *x, int64_t count);

#endif
