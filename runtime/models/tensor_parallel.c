/* Column parallel and row parallel layers, with transfers on a side stream while a GEMM computes. */
#include "tensor_parallel.h"

#include "fault.h"

void reel_tensor_parallel_open(struct reel_tensor_parallel *tp, const struct reel_plan *plan,
                               void *travelling, double *squares, struct reel_axis *axis,
                               struct reel_stream *stream)
{
    int64_t tokens = plan->work.window_frames * plan->work.H * plan->work.W, parts = reel_plan_parts(plan);
    *tp =
        (struct reel_tensor_parallel){.axis = axis,
                                      .stream = stream,
                                      .dtype = plan->work.dtype,
                                      .weight_dtype = plan->work.matrix_dtype,
                                      .width = plan->model.width,
                                      .row_bytes = plan->model.width * reel_dtype_bytes(plan->work.dtype),
                                      .travelling = travelling,
                                      .squares = squares,
                                      .piece_rows = reel_plan_piece_rows(plan, (tokens + parts - 1) / parts)};
    if (axis->size > 1)
        reel_async_transfer_open(&tp->transfer, "tensor transfer", stream, axis->nccl != NULL);
}

void reel_tensor_parallel_close(struct reel_tensor_parallel *tp)
{
    reel_async_transfer_close(&tp->transfer);
}

void reel_tensor_parallel_tokens(struct reel_tensor_parallel *tp, const struct reel_plan *plan,
                                 const struct reel_cut *tokens, struct reel_coords coords)
{
    coords.tensor = 0;
    int64_t first = reel_plan_part(plan, coords);
    tp->parts = (struct reel_cut){.parts = tp->axis->size};
    for (int64_t p = 0; p <= tp->axis->size; p++)
        tp->parts.first[p] = tokens->first[first + p] - tokens->first[first];
}

/* Waits for the async transfer. A failure goes to the stream. */
static void wait_transfer(struct reel_tensor_parallel *tp)
{
    enum reel_status status = reel_async_transfer_end(&tp->transfer, tp->stream);
    if (status == REEL_OK && reel_fault(REEL_FAULT_LINEAR))
        status = reel_fail(REEL_BAD_COMM, "planted: a part of the tensor axis did not arrive");
    if (status != REEL_OK)
        reel_stream_fail(tp->stream, status, "%s", reel_error_here()->cause);
}

/* Collective over the tensor axis. Sends this rank's tokens to the part `step` places earlier on the axis,
 * and receives the tokens of the part `step` places later. */
static enum reel_status sendrecv_tokens(void *job, struct reel_stream *side)
{
    const struct reel_tensor_parallel *tp = job;
    int64_t me = tp->axis->rank, size = tp->axis->size, from = (me + tp->step) % size;
    struct reel_sendrecv tokens = {.to = (me - tp->step + size) % size,
                                   .from = from,
                                   .send = tp->sent,
                                   .send_bytes = reel_cut_count(&tp->parts, me) * tp->row_bytes,
                                   .receive = tp->received,
                                   .receive_bytes = reel_cut_count(&tp->parts, from) * tp->row_bytes,
                                   .yields = tp->transfer.threaded};
    return reel_sendrecv(tp->axis, side, REEL_TRAFFIC_COLUMNS, &tokens, 1);
}

/* Computes this rank's columns of a layer for `rows` tokens x. `first` is the index on the axis of the first
 * of them. */
static void multiply_rows(const struct reel_tensor_parallel *tp, const struct reel_column_layer *layer,
                          const void *x, int64_t first, int64_t rows)
{
    reel_gemm(tp->stream,
              (struct reel_gemm){.rows = rows,
                                 .in = tp->width,
                                 .out = layer->out,
                                 .dtype = tp->dtype,
                                 .weight_dtype = tp->weight_dtype,
                                 .y_dtype = tp->dtype,
                                 .x = x,
                                 .weight = layer->weight,
                                 .weight_scale = layer->weight_scale,
                                 .bias = layer->bias,
                                 .activation = layer->activation,
                                 .y = (char *)layer->y + first * layer->out * reel_dtype_bytes(tp->dtype)});
}

void reel_column_parallel(struct reel_tensor_parallel *tp, const void *x,
                          const struct reel_column_layer *layers, int64_t count)
{
    int64_t me = tp->axis->rank, size = tp->axis->size;
    int64_t own = reel_cut_count(&tp->parts, me), max = reel_cut_largest(&tp->parts);
    const void *rows = x;
    for (int64_t s = 0; s < size; s++) {
        int64_t part = (me + s) % size;
        if (s > 0) {
            wait_transfer(tp);
            rows = tp->received;
        }
        if (s + 1 < size) {
            tp->sent = x;
            tp->received = tp->travelling + (s % 2) * max * tp->row_bytes;
            tp->step = s + 1;
            tp->axis->sent_bytes[REEL_TRAFFIC_COLUMNS] += own * tp->row_bytes;
            reel_async_transfer_begin(&tp->transfer, tp->stream, sendrecv_tokens, tp);
        }
        for (int64_t i = 0; i < count; i++)
            multiply_rows(tp, &layers[i], rows, tp->parts.first[part], reel_cut_count(&tp->parts, part));
    }
}

/* One piece of a part's tokens, as a range of the tokens of the axis. */
static struct reel_range piece_of(const struct reel_tensor_parallel *tp, int64_t part, int64_t piece)
{
    int64_t count = reel_cut_count(&tp->parts, part), first = piece * tp->piece_rows;
    first = first < count ? first : count;
    int64_t left = count - first;
    return (struct reel_range){tp->parts.first[part] + first, left < tp->piece_rows ? left : tp->piece_rows};
}

/* Collective over the tensor axis. Sends the partial sums of the current piece to the parts whose tokens they
 * are for, and receives from all parts those for this rank's tokens. */
static enum reel_status sendrecv_partials(void *job, struct reel_stream *side)
{
    const struct reel_tensor_parallel *tp = job;
    int64_t me = tp->axis->rank, size = tp->axis->size, bytes = tp->row_bytes;
    int64_t room = tp->piece_rows * bytes, mine = piece_of(tp, me, tp->piece).count;
    struct reel_sendrecv messages[REEL_PARTS_MAX];
    for (int64_t s = 1; s < size; s++) {
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        messages[s - 1] = (struct reel_sendrecv){.to = to,
                                                 .from = from,
                                                 .send = tp->sent + to * room,
                                                 .send_bytes = piece_of(tp, to, tp->piece).count * bytes,
                                                 .receive = tp->received + from * room,
                                                 .receive_bytes = mine * bytes,
                                                 .yields = tp->transfer.threaded};
    }
    return reel_sendrecv(tp->axis, side, REEL_TRAFFIC_PARTIALS, messages, size - 1);
}

/* Waits for the partial sums of this rank's tokens of a piece, and adds them and the bias into y. */
static void add_partials(struct reel_tensor_parallel *tp, int64_t piece, const void *bias, void *y)
{
    struct reel_range mine = piece_of(tp, tp->axis->rank, piece);
    wait_transfer(tp);
    reel_sum_parts(tp->stream,
                   (struct reel_sum_parts){.rows = mine.count,
                                           .width = tp->width,
                                           .parts = tp->axis->size,
                                           .part_stride = tp->piece_rows * tp->width,
                                           .dtype = tp->dtype,
                                           .x = tp->received,
                                           .row = bias,
                                           .y = (char *)y + (mine.first - tp->parts.first[tp->axis->rank]) *
                                                                tp->row_bytes});
}

/* Computes the partial sums of a piece for every part: those for other parts into `send`, those for this rank
 * into `receive`, where the others' will arrive. */
static void make_partials(struct reel_tensor_parallel *tp, int64_t piece, struct reel_gemm product,
                          char *send, char *receive)
{
    int64_t me = tp->axis->rank, room = tp->piece_rows * tp->row_bytes;
    const char *x = product.x;
    for (int64_t part = 0; part < tp->axis->size; part++) {
        struct reel_range rows = piece_of(tp, part, piece);
        product.rows = rows.count;
        product.x = x + rows.first * product.in * reel_dtype_bytes(tp->dtype);
        product.y = (part == me ? receive : send) + part * room;
        reel_gemm(tp->stream, product);
        if (part != me)
            tp->axis->sent_bytes[REEL_TRAFFIC_PARTIALS] += rows.count * tp->row_bytes;
    }
}

void reel_row_parallel(struct reel_tensor_parallel *tp, const struct reel_row_layer *layer, const void *x,
                       void *y)
{
    int64_t size = tp->axis->size, room = tp->piece_rows * tp->row_bytes;
    struct reel_gemm product = {.rows = reel_cut_total(&tp->parts),
                                .in = layer->in,
                                .out = tp->width,
                                .dtype = tp->dtype,
                                .weight_dtype = tp->weight_dtype,
                                .y_dtype = tp->dtype,
                                .x = x,
                                .weight = layer->weight,
                                .weight_scale = layer->weight_scale};
    if (size == 1) {
        product.bias = layer->bias;
        product.y = y;
        reel_gemm(tp->stream, product);
        return;
    }
    for (int64_t piece = 0; piece < 2 * size; piece++) {
        char *send = tp->travelling + (piece % 2) * 2 * size * room, *receive = send + size * room;
        make_partials(tp, piece, product, send, receive);
        if (piece > 0)
            add_partials(tp, piece - 1, layer->bias, y);
        tp->sent = send;
        tp->received = receive;
        tp->piece = piece;
        reel_async_transfer_begin(&tp->transfer, tp->stream, sendrecv_partials, tp);
    }
    add_partials(tp, 2 * size - 1, layer->bias, y);
}

const double *reel_tensor_parallel_squares(struct reel_tensor_parallel *tp, const void *x, int64_t rows,
                                           int64_t width)
{
    int64_t size = tp->axis->size;
    if (size == 1)
        return NULL;
    double *mine = tp->squares + tp->axis->rank * rows;
    struct reel_cut parts = {.parts = size};
    for (int64_t p = 0; p <= size; p++)
        parts.first[p] = p * rows;
    reel_rms_squares(tp->stream, (struct reel_rms_squares){
                                     .rows = rows, .width = width, .dtype = tp->dtype, .x = x, .sums = mine});
    reel_allgather(tp->axis, tp->stream, REEL_TRAFFIC_NORMS, &parts, (int64_t)sizeof *mine, mine,
                   tp->squares);
    return tp->squares;
}
