/* Column and row layers over the tensor axis. */
#include "linear.h"

#include "fault.h"
#include "numbers.h"

void reel_linear_open(struct reel_linear *linear, const struct reel_plan *plan, void *travelling,
                      double *squares, struct reel_axis *axis, struct reel_stream *stream)
{
    int64_t tokens = plan->work.window_frames * plan->work.H * plan->work.W, parts = reel_plan_parts(plan);
    *linear = (struct reel_linear){.axis = axis,
                                   .stream = stream,
                                   .numbers = reel_plan_numbers(plan),
                                   .weights = reel_plan_matrices(plan),
                                   .width = plan->model.width,
                                   .row_bytes = plan->model.width * plan->work.number_bytes,
                                   .travelling = travelling,
                                   .squares = squares,
                                   .piece_rows = reel_plan_piece_rows(plan, (tokens + parts - 1) / parts)};
    if (axis->size > 1)
        reel_mover_open(&linear->mover, "mover of tensor", stream, axis->nccl != NULL);
}

void reel_linear_close(struct reel_linear *linear)
{
    reel_mover_close(&linear->mover);
}

void reel_linear_tokens(struct reel_linear *linear, const struct reel_plan *plan,
                        const struct reel_cut *tokens, struct reel_seat seat)
{
    seat.tensor = 0;
    int64_t first = reel_plan_part(plan, seat);
    linear->parts = (struct reel_cut){.parts = linear->axis->size};
    for (int64_t p = 0; p <= linear->axis->size; p++)
        linear->parts.first[p] = tokens->first[first + p] - tokens->first[first];
}

/* Waits for what is on its way; a failure is the stream's. */
static void arrive(struct reel_linear *linear)
{
    enum reel_status status = reel_mover_end(&linear->mover, linear->stream);
    if (status == REEL_OK && reel_fault(REEL_FAULT_LINEAR))
        status = reel_fail(REEL_BAD_COMM, "planted: a part of the tensor axis did not arrive");
    if (status != REEL_OK)
        reel_stream_fail(linear->stream, status, "%s", reel_error_here()->cause);
}

/* This rank's tokens to the part `step` before it, those of the part `step` behind it from there. */
static enum reel_status swap_tokens(void *job, struct reel_stream *aside)
{
    const struct reel_linear *linear = job;
    int64_t me = linear->axis->rank, size = linear->axis->size, from = (me + linear->step) % size;
    struct reel_swap tokens = {.to = (me - linear->step + size) % size,
                               .from = from,
                               .send = linear->sent,
                               .send_bytes = reel_cut_count(&linear->parts, me) * linear->row_bytes,
                               .receive = linear->received,
                               .receive_bytes = reel_cut_count(&linear->parts, from) * linear->row_bytes,
                               .patient = linear->mover.threaded};
    return reel_swap(linear->axis, aside, REEL_SENT_COLUMNS, &tokens, 1);
}

/* A layer's columns of some rows, which are the axis' from first on. */
static void multiply(const struct reel_linear *linear, const struct reel_column_layer *layer, const void *x,
                     int64_t first, int64_t rows)
{
    reel_gemm(linear->stream,
              (struct reel_gemm){.rows = rows,
                                 .in = linear->width,
                                 .out = layer->out,
                                 .numbers = linear->numbers,
                                 .weights = linear->weights,
                                 .result = linear->numbers,
                                 .x = x,
                                 .weight = layer->weight,
                                 .weight_scale = layer->weight_scale,
                                 .bias = layer->bias,
                                 .activation = layer->activation,
                                 .y = (char *)layer->y +
                                      first * layer->out * reel_precision_bytes(linear->numbers)});
}

void reel_linear_columns(struct reel_linear *linear, const void *x, const struct reel_column_layer *layers,
                         int64_t count)
{
    int64_t me = linear->axis->rank, size = linear->axis->size;
    int64_t own = reel_cut_count(&linear->parts, me), most = reel_cut_largest(&linear->parts);
    const void *rows = x;
    for (int64_t s = 0; s < size; s++) {
        int64_t part = (me + s) % size;
        if (s > 0) {
            arrive(linear);
            rows = linear->received;
        }
        if (s + 1 < size) {
            linear->sent = x;
            linear->received = linear->travelling + (s % 2) * most * linear->row_bytes;
            linear->step = s + 1;
            linear->axis->sent_bytes[REEL_SENT_COLUMNS] += own * linear->row_bytes;
            reel_mover_begin(&linear->mover, linear->stream, swap_tokens, linear);
        }
        for (int64_t i = 0; i < count; i++)
            multiply(linear, &layers[i], rows, linear->parts.first[part],
                     reel_cut_count(&linear->parts, part));
    }
}

/* Piece k of a part's tokens, from the first token of the axis on. */
static struct reel_run piece_of(const struct reel_linear *linear, int64_t part, int64_t piece)
{
    int64_t count = reel_cut_count(&linear->parts, part), first = piece * linear->piece_rows;
    first = first < count ? first : count;
    int64_t left = count - first;
    return (struct reel_run){linear->parts.first[part] + first,
                             left < linear->piece_rows ? left : linear->piece_rows};
}

/* Partial sums of one piece: those for part p's tokens to p, everybody's for this rank's tokens here. */
static enum reel_status swap_partials(void *job, struct reel_stream *aside)
{
    const struct reel_linear *linear = job;
    int64_t me = linear->axis->rank, size = linear->axis->size, bytes = linear->row_bytes;
    int64_t room = linear->piece_rows * bytes, mine = piece_of(linear, me, linear->piece).count;
    struct reel_swap swaps[REEL_PARTS_MAX];
    for (int64_t s = 1; s < size; s++) {
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        swaps[s - 1] = (struct reel_swap){.to = to,
                                          .from = from,
                                          .send = linear->sent + to * room,
                                          .send_bytes = piece_of(linear, to, linear->piece).count * bytes,
                                          .receive = linear->received + from * room,
                                          .receive_bytes = mine * bytes,
                                          .patient = linear->mover.threaded};
    }
    return reel_swap(linear->axis, aside, REEL_SENT_PARTIALS, swaps, size - 1);
}

/* Adds what has arrived for this rank's tokens of a piece. */
static void add_partials(struct reel_linear *linear, int64_t piece, const void *bias, void *y)
{
    struct reel_run mine = piece_of(linear, linear->axis->rank, piece);
    arrive(linear);
    reel_sum_parts(
        linear->stream,
        (struct reel_sum_parts){.rows = mine.count,
                                .width = linear->width,
                                .parts = linear->axis->size,
                                .part_stride = linear->piece_rows * linear->width,
                                .numbers = linear->numbers,
                                .x = linear->received,
                                .row = bias,
                                .y = (char *)y + (mine.first - linear->parts.first[linear->axis->rank]) *
                                                     linear->row_bytes});
}

/* The partial sums of a piece for every part: what is for others to send, what is for this rank to its place. */
static void make_partials(struct reel_linear *linear, int64_t piece, struct reel_gemm product, char *send,
                          char *receive)
{
    int64_t me = linear->axis->rank, room = linear->piece_rows * linear->row_bytes;
    const char *x = product.x;
    for (int64_t part = 0; part < linear->axis->size; part++) {
        struct reel_run rows = piece_of(linear, part, piece);
        product.rows = rows.count;
        product.x = x + rows.first * product.in * reel_precision_bytes(linear->numbers);
        product.y = (part == me ? receive : send) + part * room;
        reel_gemm(linear->stream, product);
        if (part != me)
            linear->axis->sent_bytes[REEL_SENT_PARTIALS] += rows.count * linear->row_bytes;
    }
}

void reel_linear_rows(struct reel_linear *linear, const struct reel_row_layer *layer, const void *x, void *y)
{
    int64_t size = linear->axis->size, room = linear->piece_rows * linear->row_bytes;
    struct reel_gemm product = {.rows = reel_cut_total(&linear->parts),
                                .in = layer->in,
                                .out = linear->width,
                                .numbers = linear->numbers,
                                .weights = linear->weights,
                                .result = linear->numbers,
                                .x = x,
                                .weight = layer->weight,
                                .weight_scale = layer->weight_scale};
    if (size == 1) {
        product.bias = layer->bias;
        product.y = y;
        reel_gemm(linear->stream, product);
        return;
    }
    for (int64_t piece = 0; piece < 2 * size; piece++) {
        char *send = linear->travelling + (piece % 2) * 2 * size * room, *receive = send + size * room;
        make_partials(linear, piece, product, send, receive);
        if (piece > 0)
            add_partials(linear, piece - 1, layer->bias, y);
        linear->sent = send;
        linear->received = receive;
        linear->piece = piece;
        reel_mover_begin(&linear->mover, linear->stream, swap_partials, linear);
    }
    add_partials(linear, 2 * size - 1, layer->bias, y);
}

const double *reel_linear_squares(struct reel_linear *linear, const void *x, int64_t rows, int64_t width)
{
    int64_t size = linear->axis->size;
    if (size == 1)
        return NULL;
    double *mine = linear->squares + linear->axis->rank * rows;
    struct reel_cut parts = {.parts = size};
    for (int64_t p = 0; p <= size; p++)
        parts.first[p] = p * rows;
    reel_squares(linear->stream,
                 (struct reel_squares){
                     .rows = rows, .width = width, .numbers = linear->numbers, .x = x, .sums = mine});
    reel_gather(linear->axis, linear->stream, REEL_SENT_NORMS, &parts, (int64_t)sizeof *mine, mine,
                linear->squares);
    return linear->squares;
}
