/* Linear layers whose weights are cut over the tensor axis. Between such layers the tokens are cut over the
 * axis too. (Megatron-LM with sequence parallelism, Korthikanti et al. 2022.)
 *
 * Column parallel: every rank has some outputs of a layer, and computes them for all tokens of the axis. The
 * tokens arrive part by part: one part is computed while the next one is received.
 *
 * Row parallel: every rank has some inputs of a layer, and computes partial sums for all tokens of the axis.
 * The partial sums for a part's tokens are sent to that part, piece by piece, and added there in the order of
 * the axis. So the result does not depend on which rank adds.
 *
 * No rank holds the D columns of all tokens of the axis at once. On an axis of one rank both layers are one
 * GEMM.
 *
 * The axis has g tokens; n of them are this rank's. D is the width. */
#ifndef REEL_TENSOR_PARALLEL_H
#define REEL_TENSOR_PARALLEL_H

#include "comm.h"
#include "async_transfer.h"

struct reel_tensor_parallel {
    struct reel_axis *axis;
    struct reel_stream *stream;
    struct reel_async_transfer transfer;
    enum reel_dtype dtype, weight_dtype;
    int64_t width;         /* D */
    int64_t row_bytes;     /* of a row of D elements */
    char *travelling;      /* REEL_EXCHANGE_TENSOR */
    double *squares;       /* REEL_EXCHANGE_SQUARES */
    int64_t piece_rows;    /* max rows of a piece */
    struct reel_cut parts; /* the g tokens, cut over the axis */
    /* of the current transfer */
    const char *sent;
    char *received;
    int64_t step, piece;
};

/* One column parallel layer: y [g, out] = activation(x weight^T + bias), where out counts this rank's
 * outputs. */
struct reel_column_layer {
    const void *weight, *bias; /* [out, D], [out] */
    double weight_scale;       /* of fp8 weights */
    int64_t out;
    enum reel_activation activation;
    void *y;
};

/* Not collective. travelling and squares are the plan's buffers REEL_EXCHANGE_TENSOR and
 * REEL_EXCHANGE_SQUARES; NULL on an axis of one rank. A failure goes to the stream. */
void reel_tensor_parallel_open(struct reel_tensor_parallel *tp, const struct reel_plan *plan,
                               void *travelling, double *squares, struct reel_axis *axis,
                               struct reel_stream *stream);
void reel_tensor_parallel_close(struct reel_tensor_parallel *tp);

/* Not collective. Sets the g tokens for the next calls: from the plan's cut of all tokens, those of the
 * tensor axis that coords are on. */
void reel_tensor_parallel_tokens(struct reel_tensor_parallel *tp, const struct reel_plan *plan,
                                 const struct reel_cut *tokens, struct reel_coords coords);

/* Collective over the tensor axis. Computes `count` layers of the same input; x [n, D] has this rank's
 * tokens. */
void reel_column_parallel(struct reel_tensor_parallel *tp, const void *x,
                          const struct reel_column_layer *layers, int64_t count);

/* One row parallel layer, where in counts this rank's inputs. */
struct reel_row_layer {
    const void *weight, *bias; /* [D, in], [D] */
    double weight_scale;       /* of fp8 weights */
    int64_t in;
};

/* Collective over the tensor axis. x [g, in] has this rank's inputs of all tokens. y [n, D] is, for this
 * rank's tokens, the sum over the axis of x weight^T, plus bias. */
void reel_row_parallel(struct reel_tensor_parallel *tp, const struct reel_row_layer *layer, const void *x,
                       void *y);

/* Collective over the tensor axis. The sums of squares [axis, rows] of every part's x [rows, width]. NULL on
 * an axis of one rank, where x has all columns. */
const double *reel_tensor_parallel_squares(struct reel_tensor_parallel *tp, const void *x, int64_t rows,
                                           int64_t width);

#endif
