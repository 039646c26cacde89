/* Linear layers whose weights are cut over the tensor axis, between tokens that are cut over it too.
 *
 * Columns: every rank of the axis has some outputs of a layer, for all tokens of the axis: tokens are gathered, part by
 * part, and each part is computed while the next one travels. Rows: every rank has some inputs: partial sums for the
 * tokens of each part are sent there, piece by piece, and added in the order of the axis, so that a result does not
 * depend on who adds (Megatron-LM with sequence parallelism, Korthikanti et al. 2022). No rank has the tokens of the axis
 * whole. On an axis of one rank both are a GEMM.
 *
 * Of the axis: g tokens, of which n are this rank's; D the width. */
#ifndef REEL_TENSOR_PARALLEL_H
#define REEL_TENSOR_PARALLEL_H

#include "comm.h"
#include "async_transfer.h"

struct reel_tensor_parallel {
    struct reel_axis *axis;
    struct reel_stream *stream;
    struct reel_async_transfer transfer;
    enum reel_precision dtype, weight_dtype;
    int64_t width;         /* D */
    int64_t row_bytes;     /* of a row of it */
    char *travelling;      /* REEL_EXCHANGE_TENSOR */
    double *squares;       /* REEL_EXCHANGE_SQUARES */
    int64_t piece_rows;    /* room of a piece */
    struct reel_cut parts; /* the g tokens over the axis */
    /* of what is on its way */
    const char *sent;
    char *received;
    int64_t step, piece;
};

/* One layer that takes the gathered tokens: y [g, out] = activation(x weight^T + bias). */
struct reel_column_layer {
    const void *weight, *bias; /* [out, D], [out] */
    double weight_scale;       /* where weights are fp8 */
    int64_t out;
    enum reel_activation activation;
    void *y;
};

/* Not collective. travelling and squares have the plan's room; NULL on an axis of one. */
void reel_tensor_parallel_open(struct reel_tensor_parallel *tp, const struct reel_plan *plan,
                               void *travelling, double *squares, struct reel_axis *axis,
                               struct reel_stream *stream);
void reel_tensor_parallel_close(struct reel_tensor_parallel *tp);

/* Not collective. The g tokens from now on: those of the seat's tensor axis. */
void reel_tensor_parallel_tokens(struct reel_tensor_parallel *tp, const struct reel_plan *plan,
                                 const struct reel_cut *tokens, struct reel_coords coords);

/* Collective over the tensor axis. x [n, D] is this rank's. */
void reel_column_parallel(struct reel_tensor_parallel *tp, const void *x,
                          const struct reel_column_layer *layers, int64_t count);

/* One layer whose inputs are cut: [D, in], [D]. */
struct reel_row_layer {
    const void *weight, *bias;
    double weight_scale; /* where weights are fp8 */
    int64_t in;
};

/* Collective over the tensor axis. x [g, in] has this rank's inputs of all tokens; y [n, D] = the sum over the axis +
 * bias. */
void reel_row_parallel(struct reel_tensor_parallel *tp, const struct reel_row_layer *layer, const void *x,
                       void *y);

/* Collective over the tensor axis. The sums of squares [axis, rows] of every part's x [rows, width]; NULL on an axis of
 * one, where all is here. */
const double *reel_tensor_parallel_squares(struct reel_tensor_parallel *tp, const void *x, int64_t rows,
                                           int64_t width);

#endif
