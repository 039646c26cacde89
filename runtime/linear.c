/* Column and row layers over the tensor axis. */
#include "linear.h"

#include "fault.h"

void reel_linear_open(struct reel_linear *linear, const struct reel_plan *plan, float *travelling,
                      double *squares, struct reel_axis *axis, struct reel_stream *stream)
{
    int64_t tokens = plan->work.window_frames * plan->work.H * plan->work.W, parts = reel_plan_parts(plan);
    *linear = (struct reel_linear){.axis = axis,
                                   .stream = stream,
                                   .width = plan->model.width,
                                   .travelling = travelling,
                                   .squares = squares,
                                   .piece_rows = reel_plan_piece_rows(plan, (tokens + parts - 1) / parts)};
    if (axis->size > 1)
        reel_mover_open(&linear->mover);
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
    enum reel_status status = reel_mover_end(&linear->mover);
    if (status == REEL_OK && reel_fault(REEL_FAULT_LINEAR))
        status = reel_fail(REEL_BAD_COMM, "planted: a part of the tensor axis did not arrive");
    if (status != REEL_OK)
        reel_stream_fail(linear->stream, status, "%s", reel_error_here()->cause);
}

/* This rank's tokens to the part `step` before it, those of the part `step` behind it from there. */
static enum reel_status swap_tokens(void *job)
{
    const struct reel_linear *linear = job;
    int64_t me = linear->axis->rank, size = linear->axis->size,
            row_bytes = linear->width * (int64_t)sizeof(float);
    int64_t to = (me - linear->step + size) % size, from = (me + linear->step) % size;
    return reel_swap(linear->axis, to, linear->sent, reel_cut_count(&linear->parts, me) * row_bytes, from,
                     linear->received, reel_cut_count(&linear->parts, from) * row_bytes,
                     linear->mover.threaded);
}

void reel_linear_columns(struct reel_linear *linear, const float *x, const struct reel_column_layer *layers,
                         int64_t count)
{
    int64_t me = linear->axis->rank, size = linear->axis->size, D = linear->width;
    int64_t own = reel_cut_count(&linear->parts, me), most = reel_cut_largest(&linear->parts);
    const float *rows = x;
    for (int64_t s = 0; s < size; s++) {
        int64_t part = (me + s) % size;
        if (s > 0) {
            arrive(linear);
            rows = linear->received;
        }
        if (s + 1 < size) {
            linear->sent = x;
            linear->received = linear->travelling + (s % 2) * most * D;
            linear->step = s + 1;
            linear->axis->sent_bytes[REEL_SENT_COLUMNS] += own * D * (int64_t)sizeof *x;
            reel_mover_begin(&linear->mover, swap_tokens, linear);
        }
        for (int64_t i = 0; i < count; i++)
            reel_gemm(linear->stream,
                      (struct reel_gemm){.rows = reel_cut_count(&linear->parts, part),
                                         .in = D,
                                         .out = layers[i].out,
                                         .x = rows,
                                         .weight = layers[i].weight,
                                         .bias = layers[i].bias,
                                         .activation = layers[i].activation,
                                         .y = layers[i].y + linear->parts.first[part] * layers[i].out});
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
static enum reel_status swap_partials(void *job)
{
    const struct reel_linear *linear = job;
    int64_t me = linear->axis->rank, size = linear->axis->size,
            row_bytes = linear->width * (int64_t)sizeof(float);
    int64_t room = linear->piece_rows * linear->width, mine = piece_of(linear, me, linear->piece).count;
    enum reel_status status = REEL_OK;
    for (int64_t s = 1; s < size; s++) { /* to the end also after a failure: the others come by */
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        enum reel_status swapped = reel_swap(
            linear->axis, to, linear->sent + to * room, piece_of(linear, to, linear->piece).count * row_bytes,
            from, linear->received + from * room, mine * row_bytes, linear->mover.threaded);
        status = status == REEL_OK ? swapped : status;
    }
    return status;
}

/* Adds what has arrived for this rank's tokens of a piece. */
static void add_partials(struct reel_linear *linear, int64_t piece, const float *bias, float *y)
{
    struct reel_run mine = piece_of(linear, linear->axis->rank, piece);
    arrive(linear);
    reel_sum_parts(linear->stream,
                   (struct reel_sum_parts){.rows = mine.count,
                                           .width = linear->width,
                                           .parts = linear->axis->size,
                                           .part_stride = linear->piece_rows * linear->width,
                                           .x = linear->received,
                                           .row = bias,
                                           .y = y + (mine.first - linear->parts.first[linear->axis->rank]) *
                                                        linear->width});
}

void reel_linear_rows(struct reel_linear *linear, const float *x, int64_t in, const float *weight,
                      const float *bias, float *y)
{
    int64_t me = linear->axis->rank, size = linear->axis->size, D = linear->width,
            room = linear->piece_rows * D;
    struct reel_gemm product = {.in = in, .out = D, .weight = weight};
    if (size == 1) {
        product.rows = reel_cut_total(&linear->parts);
        product.x = x;
        product.bias = bias;
        product.y = y;
        reel_gemm(linear->stream, product);
        return;
    }
    for (int64_t piece = 0; piece < 2 * size; piece++) {
        float *send = linear->travelling + (piece % 2) * 2 * size * room, *receive = send + size * room;
        for (int64_t part = 0; part < size; part++) {
            struct reel_run rows = piece_of(linear, part, piece);
            product.rows = rows.count;
            product.x = x + rows.first * in;
            product.y = (part == me ? receive : send) + part * room;
            reel_gemm(linear->stream, product);
            if (part != me)
                linear->axis->sent_bytes[REEL_SENT_PARTIALS] += rows.count * D * (int64_t)sizeof *x;
        }
        if (piece > 0)
            add_partials(linear, piece - 1, bias, y);
        linear->sent = send;
        linear->received = receive;
        linear->piece = piece;
        reel_mover_begin(&linear->mover, swap_partials, linear);
    }
    add_partials(linear, 2 * size - 1, bias, y);
}

const double *reel_linear_squares(struct reel_linear *linear, const float *x, int64_t rows, int64_t width)
{
    int64_t size = linear->axis->size;
    if (size == 1)
        return NULL;
    double *mine = linear->squares + linear->axis->rank * rows;
    struct reel_cut parts = {.parts = size};
    for (int64_t p = 0; p <= size; p++)
        parts.first[p] = p * rows;
    reel_squares(linear->stream, (struct reel_squares){.rows = rows, .width = width, .x = x, .sums = mine});
    /* a double travels as two floats: nobody looks into them on the way */
    reel_gather(linear->axis, linear->stream, REEL_SENT_NORMS, &parts, 2, (const float *)mine,
                (float *)linear->squares);
    return linear->squares;
}
