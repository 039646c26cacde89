/* The arithmetic of the models: one page of contracts. Each backend implements them in one table.
 *
 * A caller passes a stream and a struct of named fields, so that a call reads as a sentence:
 *
 *     reel_gemm(stream, (struct reel_gemm){
 *         .rows = n, .in = D, .out = D, .x = x, .weight = w, .bias = b, .y = y});
 *
 * Arrays lie in the backend's memory, which the host may not be able to read: reel_copy moves data between
 * the host and the device. Two arguments are the host's own: first_head, and the struct reel_rope. The caller
 * may change them as soon as the call has returned.
 *
 * All arrays are row-major, and dense unless the struct names a stride. Outputs do not overlap inputs unless
 * the contract allows it. Elements of typed arrays have that type; elements of `void` arrays have the dtype
 * that the struct names, which is fp32 where a caller leaves it out. An operation computes sums and formulas
 * in float or double, whatever the arrays' dtype, and rounds once, when it writes the result.
 *
 * The operations of one stream run in the order of their calls; a call may return before its operation has
 * begun. Two streams have no order but what reel_stream_wait makes. The host knows that earlier work of a
 * stream has ended when reel_finish, a copy from the device or reel_first_nonfinite has returned.
 *
 * Zero rows are allowed everywhere and do nothing. A stream is sticky: after a failure every operation on it
 * does nothing. stream->status holds the first failure, and the error record (status.h) holds its cause; the
 * caller looks once an iteration. Arguments that do not fit each other fail the stream with REEL_INTERNAL.
 *
 * Results do not depend on the number of threads. The result of a row depends neither on the number of rows
 * nor on its index among them, so cutting tokens over ranks changes no bit.
 *
 * Nothing here is collective. */
#ifndef REEL_OPS_H
#define REEL_OPS_H

#include "dtype.h"
#include "status.h"

#include <stdint.h>

struct reel_ops;
struct reel_simd;

struct reel_stream {
    const struct reel_ops *ops; /* the backend */
    void *queue;                /* the backend's own; NULL where operations end before they return */
    enum reel_status status;    /* the first failure; REEL_OK while there is none */
    void *scratch;              /* the caller's memory, reel_scratch_bytes long; NULL for a side stream */
    int64_t threads;
    int64_t thread_floats;        /* scratch of one thread, in floats */
    const struct reel_simd *simd; /* the host's SIMD kernels (simd.h), chosen when the stream was opened */
};

/* The maximum of each size that the stream will see. It determines the size of the scratch memory. */
struct reel_scratch {
    int64_t in;       /* columns of a GEMM's input */
    int64_t channels; /* C of attention */
    int64_t threads;
    enum reel_dtype weight_dtype; /* of a GEMM's weights, if they may be narrower than its input */
};

enum reel_activation { REEL_IDENTITY, REEL_GELU_TANH, REEL_GELU_ERF, REEL_SILU };

/* y = activation(x weight^T + bias).
 *
 * With weights of REEL_F8_E4M3, y = activation(weight_scale x weight^T + bias), and x is rounded to F8_E4M3
 * first; a value beyond the range becomes the largest one, 448. */
struct reel_gemm {
    int64_t rows, in, out;
    enum reel_dtype dtype;        /* of x and bias */
    enum reel_dtype weight_dtype; /* of weight: the dtype of x, or REEL_F8_E4M3 */
    enum reel_dtype y_dtype;      /* of y */
    double weight_scale;          /* used with REEL_F8_E4M3 only */
    const void *x;                /* [rows, in] */
    const void *weight;           /* [out, in] */
    const void *bias;             /* [out], or NULL */
    void *y;                      /* [rows, out] */
    enum reel_activation activation;
};

/* y = LN(x) * weight + bias, where LN(x) = (x - mean) / sqrt(var + epsilon), with the biased variance over
 * the width. */
struct reel_layer_norm {
    int64_t rows, width;
    enum reel_dtype x_dtype; /* of x */
    enum reel_dtype dtype;   /* of weight, bias and y */
    const void *x;           /* [rows, width] */
    const void *weight;      /* [width] */
    const void *bias;        /* [width] */
    double epsilon;
    void *y; /* [rows, width]; may be x if both have the same dtype */
};

/* An embedding table, and which of its rows each token uses. Row r begins at table + r * stride. */
struct reel_rows {
    const float *table;
    int64_t stride;
    const int32_t *of_token; /* [rows] indices of table rows; NULL: token t uses row t */
};

/* y = LN(x) * (1 + scale + row[scale_at ..]) + shift + row[shift_at ..], where `row` is the token's row of
 * the table: the adaptive modulation of a transformer block or of the head. LN is that of reel_layer_norm. */
struct reel_modulate {
    int64_t rows, width;
    enum reel_dtype dtype; /* of shift, scale and y */
    const float *x;        /* [rows, width] */
    double epsilon;
    const void *shift, *scale; /* [width]: the layer's own parameters */
    struct reel_rows embedding;
    int64_t shift_at, scale_at; /* offsets into a row of the table, in elements */
    void *y;                    /* [rows, width]; may be x if both have the same dtype */
};

/* x += y * (gate + row[gate_at ..]); without a gate, x += y. */
struct reel_gated_add {
    int64_t rows, width;
    enum reel_dtype dtype; /* of y and gate */
    float *x;              /* [rows, width] */
    const void *y;         /* [rows, width] */
    const void *gate;      /* [width]; NULL: x += y, and the embedding is unused */
    struct reel_rows embedding;
    int64_t gate_at;
};

/* The tables of a RoPE over three axes, one per axis: [positions][pairs][2], cosine then sine. A head's
 * channels are pairs (2p, 2p + 1). Its first frame_pairs pairs rotate by the token's frame, the next
 * row_pairs by the token's row, the last column_pairs by the token's column. */
struct reel_rope {
    const float *frame, *row, *column;
    int64_t frame_pairs, row_pairs, column_pairs;
    int64_t H, W;        /* the token grid of a frame */
    int64_t first_token; /* the index of row 0 in the sequence of all tokens */
};

/* sums[r] = sum of x[r, i]^2 over i, in an order that depends on the width alone. */
struct reel_rms_squares {
    int64_t rows, width;
    enum reel_dtype dtype; /* of x */
    const void *x;         /* [rows, width] */
    double *sums;          /* [rows] */
};

/* y = RoPE(x / sqrt(mean(x^2) + epsilon) * norm): RMS norm and RoPE, written by heads for an alltoall.
 *
 * Part p takes heads [first_head[p], first_head[p + 1]). It begins at y + rows * first_head[p] * channels and
 * has the shape [rows, heads of the part, channels]. With one part y is [rows, heads * channels], and
 * may be x.
 *
 * The mean is over all heads of the model. Where other ranks hold some of these heads, pass the sums of
 * squares of every rank's columns in `squares`. */
struct reel_split_heads {
    int64_t rows, heads, channels;
    enum reel_dtype dtype; /* of x, norm and y */
    const void *x;         /* [rows, heads * channels] */
    const void *norm;      /* [heads * channels]; NULL: no norm */
    double epsilon;
    const double *squares; /* [square_parts, rows], added in order; NULL: x has all heads */
    int64_t square_parts;
    int64_t norm_width;           /* with squares: how many elements the mean is over */
    const struct reel_rope *rope; /* NULL: no rotation */
    int64_t parts;
    const int64_t *first_head; /* [parts + 1] */
    void *y;
};

/* The inverse of split_heads' layout, without norm or rotation. */
struct reel_merge_heads {
    int64_t rows, heads, channels;
    enum reel_dtype dtype; /* of x and y */
    int64_t parts;
    const int64_t *first_head; /* [parts + 1] */
    const void *x;             /* as split_heads lays out its y */
    void *y;                   /* [rows, heads * channels] */
};

/* out = softmax(scale q k^T) v for each head; with add, out += it. Strides are elements from one row to the
 * next; head n begins at column n * channels. keys >= 1. Memory does not grow with queries * keys.
 *
 * With lse, lse[query, head] = log sum exp(scale q k^T). With merge, which needs lse and excludes add, out
 * and lse already hold attention over other keys, and afterwards hold attention over both sets of keys:
 *     out = (e^a out + e^b new) / (e^a + e^b)
 * where a is the log sum exp of the earlier keys and b that of these (Milakov and Gimelshein 2018). */
struct reel_attention {
    int64_t queries, keys, heads, channels;
    double scale;
    enum reel_dtype dtype; /* of q, k, v and out */
    const void *q;         /* [queries] rows */
    int64_t q_stride;
    const void *k, *v; /* [keys] rows */
    int64_t kv_stride;
    void *out; /* [queries] rows */
    int64_t out_stride;
    int add;
    float *lse; /* [queries, heads]; NULL: not wanted */
    int merge;
};

/* columns[t] = the p x p patch of token first_token + t, which lies at row i, column j of its frame:
 * column (c * p + ph) * p + pw holds channel c of pixel (p i + ph, p j + pw). Channels vary slowest. */
struct reel_patchify {
    int64_t tokens, first_token;
    int64_t F, H, W, channels; /* the token grid; latents have pH x pW pixels a frame */
    int64_t patch;             /* p, at least 1 */
    enum reel_dtype dtype;     /* of columns */
    const float *latents;      /* [channels, F, pH, pW] */
    void *columns;             /* [tokens, p * p * channels] */
};

/* velocity[c, f, p i + ph, p j + pw] = tokens[t][(ph * p + pw) * channels + c] for the token t at frame f,
 * row i, column j. Channels vary fastest, unlike in patchify. */
struct reel_unpatchify {
    int64_t F, H, W, channels;
    int64_t patch;       /* p, at least 1 */
    const float *tokens; /* [F * H * W, p * p * channels] */
    float *velocity;     /* [channels, F, pH, pW] */
};

/* out = unconditional + scale * (conditional - unconditional): classifier-free guidance. out may be either of
 * them. */
struct reel_guide {
    int64_t count;
    const float *conditional, *unconditional;
    double scale;
    float *out;
};

/* One step of the solver for one frame, for each element in this order:
 *     estimate = x - sigma v
 *     if corrects:  x = correct_last last + correct_0 m0 + correct_1 m1 + correct_estimate estimate
 *     m1 = m0;  m0 = estimate;  last = x
 *     x = predict_x x + predict_0 m0 + predict_1 m1 + predict_v v
 *     if last_is_result:  last = x
 * m0 and m1 are read, and last if corrects, even where the coefficient is 0: they must not be NaN. */
struct reel_solve {
    int64_t channels, frames, plane; /* x, m0, m1 and last are [channels, frames, plane] */
    int64_t frame;
    /* v is [channels, v_frames, plane], a window of the chunk's frames; v_frame is the index in it. */
    int64_t v_frames, v_frame;
    double sigma;
    int corrects, last_is_result;
    double correct_last, correct_0, correct_1, correct_estimate;
    double predict_x, predict_0, predict_1, predict_v;
    const float *v;
    float *x, *m0, *m1, *last;
};

/* y = silu(x). x may be y. */
struct reel_silu {
    int64_t count;
    const float *x;
    float *y;
};

/* y = x[0] + x[1] + .. + x[parts - 1] + row, added in this order. Part p of x begins at element
 * p * part_stride. */
struct reel_sum_parts {
    int64_t rows, width, parts, part_stride;
    enum reel_dtype dtype; /* of x, row and y */
    const void *x;         /* [rows, width] for each part */
    const void *row;       /* [width] */
    void *y;               /* [rows, width] */
};

/* y[t] = the row of the table that token t uses: expands an embedding to the tokens. */
struct reel_expand {
    int64_t rows, width; /* width <= embedding.stride */
    struct reel_rows embedding;
    float *y; /* [rows, width] */
};

/* difference[t] = sum |x[t] - previous[t]| and magnitude[t] = sum |previous[t]|, in double and in an order
 * that depends on the width alone. Afterwards previous = x. */
struct reel_distances {
    int64_t rows, width;
    const float *x;                 /* [rows, width] */
    float *previous;                /* [rows, width] */
    double *difference, *magnitude; /* of token t at element t * stride */
    int64_t stride;
};

/* residual = after - before, rounded to its dtype: REEL_F32 or REEL_BF16. */
struct reel_keep_residual {
    int64_t count;
    enum reel_dtype dtype;       /* of residual */
    const float *after, *before; /* [count] */
    void *residual;
};

/* x += residual, of the dtype that it was kept with. */
struct reel_add_residual {
    int64_t count;
    enum reel_dtype dtype; /* of residual */
    const void *residual;
    float *x; /* [count] */
};

/* Adds `row` to every row of y. */
struct reel_add_row {
    int64_t rows, width;
    enum reel_dtype dtype; /* of row and y */
    const void *row;       /* [width] */
    void *y;               /* [rows, width] */
};

/* y = x, rounded to the dtype. */
struct reel_convert {
    int64_t count;
    enum reel_dtype dtype; /* of y: REEL_F32 or REEL_BF16 */
    const float *x;
    void *y;
};

/* Copies rows of bytes, dense or with gaps between rows. When the call of a copy to or from the device
 * returns, the copy has ended: the caller may reuse its host memory, and finds there what came from the
 * device. */
enum reel_direction { REEL_TO_DEVICE, REEL_FROM_DEVICE, REEL_ON_DEVICE };
struct reel_copy {
    enum reel_direction direction;
    int64_t rows, row_bytes;
    const void *from;
    int64_t from_stride; /* bytes from one row to the next; unused with one row */
    void *to;
    int64_t to_stride;
};

/* Sets bytes to zero. */
struct reel_clear {
    int64_t bytes;
    void *to;
};

/* x = (1 - share) x + share z, computed in float. */
struct reel_blend {
    int64_t rows, width;
    double share;
    float *x; /* [rows, width], rows x_stride elements apart */
    int64_t x_stride;
    const float *z; /* [rows, width] */
};

/* A backend: its name, its memory, its streams, and its implementation of each operation. The functions below
 * (ops.c) check the arguments first: an operation of the table gets valid arguments and at least one row. */
struct reel_ops {
    const char *name;
    const char *(*arithmetic)(void); /* the instruction set, for people; NULL: the device's name says it */
    int (*widens)(void); /* whether it multiplies bfloat16 as float for lack of instructions; NULL: no */
    int is_host;         /* whether the host may read and write its memory */
    void *(*allocate)(int64_t bytes);             /* aligned to 4 KiB; NULL when out of memory */
    void (*release)(void *memory, int64_t bytes); /* memory may be NULL */
    /* Host memory that the device copies to and from fast; NULL: reel_allocate_host takes ordinary memory. */
    void *(*allocate_host)(int64_t bytes);
    void (*release_host)(void *memory, int64_t bytes);
    /* Bytes of the device's memory that this process has taken, libraries included; NULL: unknown. */
    int64_t (*taken_bytes)(void);
    /* Called before and after open and every operation; NULL: there is nothing to do. */
    void (*enter)(struct reel_stream *);
    void (*leave)(struct reel_stream *);
    int64_t (*scratch_bytes)(const struct reel_scratch *max);
    /* max NULL: opens a side stream. */
    void (*open)(struct reel_stream *stream, const struct reel_scratch *max);
    /* Each may be NULL: operations end before they return, and there is nothing to wait for. */
    void (*close)(struct reel_stream *stream);
    void (*stream_wait)(struct reel_stream *later, struct reel_stream *earlier);
    void (*throttle)(struct reel_stream *stream);
    void (*finish)(struct reel_stream *stream);
    /* Times of the device, for a profile. An event marks a point in the work of a stream.
     *
     *     events_open    forgets earlier events and allows new ones; 0 when the device refuses
     *     event          marks the end of what the stream was issued so far; -1 when no more events are left
     *     events_settle  reads the times of all events; all work issued to any stream must have ended
     *     event_ns       after events_settle: when the device reached the event, by the clock of
     *                    reel_trace_now, and never before an earlier event of the same stream; -1: unknown
     *
     * Any thread may call event; only one thread at a time may call the others. All four NULL: operations end
     * before they return. */
    int (*events_open)(struct reel_stream *stream);
    int64_t (*event)(struct reel_stream *stream);
    void (*events_settle)(struct reel_stream *stream);
    int64_t (*event_ns)(int64_t event);
    /* Begin and end of a part of the model, for tools that observe the device; both NULL: there are none. */
    void (*range_push)(const char *name);
    void (*range_pop)(void);
    /* What reel_stream_handle returns; NULL: streams have no handles. */
    void *(*handle)(const struct reel_stream *stream);
    void (*gemm)(struct reel_stream *, const struct reel_gemm *);
    void (*layer_norm)(struct reel_stream *, const struct reel_layer_norm *);
    void (*modulate)(struct reel_stream *, const struct reel_modulate *);
    void (*gated_add)(struct reel_stream *, const struct reel_gated_add *);
    void (*rms_squares)(struct reel_stream *, const struct reel_rms_squares *);
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

/* Arithmetic on the host, with SIMD (simd.h) and OpenMP. */
extern const struct reel_ops reel_ops_cpu;

/* The same arithmetic on memory that only operations can read, like that of a device. Tests use it to find
 * code that confuses host and device memory or forgets to order streams, without a device (shadow.h). */
extern const struct reel_ops reel_ops_shadow;

/* Arithmetic on the GPU that reel_gpu_use (gpu.h) has set for the calling process. Where the program was
 * built without CUDA, its allocate returns NULL. */
extern const struct reel_ops reel_ops_cuda;

/* Host memory for data that goes to a device of this backend or comes from it, aligned to 4 KiB; NULL when
 * out of memory. release allows NULL. */
void *reel_allocate_host(const struct reel_ops *ops, int64_t bytes);
void reel_release_host(const struct reel_ops *ops, void *memory, int64_t bytes);

/* The scratch memory that a stream of this backend needs for operations up to these sizes. */
int64_t reel_scratch_bytes(const struct reel_ops *ops, const struct reel_scratch *max);

/* Opens a stream on scratch memory of reel_scratch_bytes(ops, max), aligned to 64 bytes. The memory stays the
 * caller's and must outlive the stream. The stream records failures. */
void reel_stream_open(struct reel_stream *stream, const struct reel_ops *ops, const struct reel_scratch *max,
                      void *scratch);

/* Opens a side stream, for copies and communication: it has no scratch memory and one thread. */
void reel_stream_open_side(struct reel_stream *stream, const struct reel_ops *ops);

/* Waits until everything issued has ended, and frees what the backend holds for the stream. A stream of zeros
 * is allowed. */
void reel_stream_close(struct reel_stream *stream);

/* Orders two streams of one backend: what is issued to `later` from now on begins only after everything
 * issued to `earlier` so far has ended. Works after failures too. Does not wait itself. */
void reel_stream_wait(struct reel_stream *later, struct reel_stream *earlier);

/* Keeps the host from running far ahead of the device: call n waits until everything issued before call n - 2
 * has ended. */
void reel_throttle(struct reel_stream *stream);

/* Waits until everything issued has ended. The stream's status then includes its failures. */
void reel_finish(struct reel_stream *stream);

/* The backend's own handle of a stream, for libraries that work beside the backend: a cudaStream_t. NULL
 * where there is none. */
void *reel_stream_handle(const struct reel_stream *stream);

/* Records a failure on the stream, unless it already has one. */
void reel_stream_fail(struct reel_stream *stream, enum reel_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void reel_gemm(struct reel_stream *stream, struct reel_gemm arguments);
void reel_layer_norm(struct reel_stream *stream, struct reel_layer_norm arguments);
void reel_modulate(struct reel_stream *stream, struct reel_modulate arguments);
void reel_gated_add(struct reel_stream *stream, struct reel_gated_add arguments);
void reel_rms_squares(struct reel_stream *stream, struct reel_rms_squares arguments);
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

/* Copies `bytes` bytes from the host to the device, or back; reel_copy with one row. */
void reel_upload(struct reel_stream *stream, void *device, const void *host, int64_t bytes);
void reel_download(struct reel_stream *stream, void *host, const void *device, int64_t bytes);

/* The index of the first element that is NaN or infinite; -1 when all are finite or the stream has failed.
 * Waits for the stream. */
int64_t reel_first_nonfinite(struct reel_stream *stream, const float *x, int64_t count);

#endif
