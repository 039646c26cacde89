/* Ulysses and ring: alltoall, sendrecv and attention over the sequence. */
#include "sequence_parallel.h"

#include "fault.h"

#include <math.h>

/* 1 when the alltoall before attention runs while the next projection computes. On a tensor axis of several
 * ranks there is nothing to overlap with: q, k and v are all computed before the first alltoall. */
static int heads_overlap(const struct reel_sequence_parallel *s)
{
    return s->plan->mesh.ulysses > 1 && s->plan->mesh.tensor == 1;
}

void reel_sequence_parallel_open(struct reel_sequence_parallel *sequence, const struct reel_plan *plan,
                                 const struct reel_arena *arena, struct reel_comm *comm,
                                 struct reel_stream *stream)
{
    *sequence = (struct reel_sequence_parallel){.plan = plan, .arena = arena, .comm = comm, .stream = stream};
    struct reel_cut heads = reel_plan_heads(plan);
    int64_t first = comm->coords.tensor * plan->mesh.ulysses;
    for (int64_t p = 0; p <= plan->mesh.ulysses; p++)
        sequence->first_head[p] = heads.first[first + p] - heads.first[first];
    if (plan->mesh.ring > 1)
        reel_async_transfer_open(&sequence->transfer, "keys transfer", stream, comm->ring.nccl != NULL);
    if (heads_overlap(sequence))
        reel_async_transfer_open(&sequence->heads_transfer, "heads transfer", stream,
                                 comm->ulysses.nccl != NULL);
}

void reel_sequence_parallel_close(struct reel_sequence_parallel *sequence)
{
    reel_async_transfer_close(&sequence->heads_transfer);
    reel_async_transfer_close(&sequence->transfer);
}

void reel_sequence_parallel_frames(struct reel_sequence_parallel *sequence, int64_t frames)
{
    const struct reel_plan *plan = sequence->plan;
    struct reel_coords coords = sequence->comm->coords;
    sequence->tokens = reel_plan_tokens(plan, frames);
    sequence->own = reel_plan_own(plan, &sequence->tokens, coords);
    sequence->group = reel_plan_group(plan, &sequence->tokens, coords);
    sequence->segment = reel_plan_segment(plan, &sequence->tokens, coords.ring);
}

/* The number of heads of a part of the ulysses axis. */
static int64_t heads_of(const struct reel_sequence_parallel *s, int64_t part)
{
    return s->first_head[part + 1] - s->first_head[part];
}

/* The columns of this rank's heads: h C. */
static int64_t width_of(const struct reel_sequence_parallel *s)
{
    return heads_of(s, s->comm->ulysses.rank) * reel_model_head_channels(&s->plan->model);
}

/* The number of tokens of a part of the ulysses axis in this segment. */
static int64_t tokens_of(const struct reel_sequence_parallel *s, int64_t part)
{
    struct reel_coords coords = s->comm->coords;
    coords.ulysses = part;
    return reel_plan_group(s->plan, &s->tokens, coords).count;
}

/* The bytes that are exchanged with every part p of the ulysses axis: this rank's tokens with p's heads
 * (of_heads), and p's tokens with this rank's heads (of_tokens). */
static void exchange_sizes(const struct reel_sequence_parallel *s, int64_t *of_heads, int64_t *of_tokens)
{
    int64_t C = reel_model_head_channels(&s->plan->model) * reel_dtype_bytes(s->plan->work.dtype),
            me = s->comm->ulysses.rank;
    for (int64_t p = 0; p < s->comm->ulysses.size; p++) {
        of_heads[p] = s->group.count * heads_of(s, p) * C;
        of_tokens[p] = tokens_of(s, p) * heads_of(s, me) * C;
    }
}

/* Collective over the ulysses axis. Sends every rank this rank's tokens with that rank's heads, and receives
 * the segment's tokens with this rank's heads in `turning`. */
static enum reel_status alltoall_heads(void *job, struct reel_stream *stream)
{
    const struct reel_sequence_parallel *s = job;
    int64_t send[REEL_PARTS_MAX], receive[REEL_PARTS_MAX];
    exchange_sizes(s, send, receive);
    reel_alltoall(&s->comm->ulysses, stream, REEL_TRAFFIC_HEADS, s->arena->at[REEL_EXCHANGE_BY_PART], send,
                  s->turning, receive, s->heads_transfer.threaded);
    return stream->status;
}

/* Waits for an async transfer, if one has begun. A failure goes to the stream. */
static void wait_transfer(struct reel_sequence_parallel *s, struct reel_async_transfer *transfer)
{
    enum reel_status status = reel_async_transfer_end(transfer, s->stream);
    if (status != REEL_OK)
        reel_stream_fail(s->stream, status, "%s", reel_error_here()->cause);
}

void reel_sequence_parallel_to_heads(struct reel_sequence_parallel *s, void *x, const void *norm,
                                     const double *squares, const struct reel_rope *rope)
{
    const struct reel_model *m = &s->plan->model;
    int64_t parts = s->comm->ulysses.size;
    void *by_part = parts > 1 ? s->arena->at[REEL_EXCHANGE_BY_PART] : x;
    wait_transfer(s, &s->heads_transfer);
    struct reel_rope own = {.frame = NULL};
    if (rope) {
        own = *rope;
        own.first_token = s->group.first;
    }
    if (parts > 1 || norm || rope)
        reel_split_heads(s->stream, (struct reel_split_heads){.rows = s->group.count,
                                                              .heads = s->first_head[parts],
                                                              .channels = reel_model_head_channels(m),
                                                              .dtype = s->plan->work.dtype,
                                                              .x = x,
                                                              .norm = norm,
                                                              .epsilon = m->epsilon,
                                                              .squares = squares,
                                                              .square_parts = s->comm->tensor.size,
                                                              .norm_width = m->width,
                                                              .rope = rope ? &own : NULL,
                                                              .parts = parts,
                                                              .first_head = s->first_head,
                                                              .y = by_part});
    if (parts == 1)
        return;
    s->turning = x;
    if (heads_overlap(s))
        reel_async_transfer_begin(&s->heads_transfer, s->stream, alltoall_heads, s);
    else
        alltoall_heads(s, s->stream);
}

const void *reel_sequence_parallel_to_tokens(struct reel_sequence_parallel *s)
{
    int64_t parts = s->comm->ulysses.size, send[REEL_PARTS_MAX], receive[REEL_PARTS_MAX];
    void *by_part = s->arena->at[REEL_EXCHANGE_BY_PART], *merged = s->arena->at[REEL_HEADS_Q];
    if (parts == 1)
        return s->arena->at[REEL_HEADS_OUT];
    exchange_sizes(s, receive, send);
    reel_alltoall(&s->comm->ulysses, s->stream, REEL_TRAFFIC_TOKENS, s->arena->at[REEL_HEADS_OUT], send,
                  by_part, receive, 0);
    reel_merge_heads(s->stream,
                     (struct reel_merge_heads){.rows = s->group.count,
                                               .heads = s->first_head[parts],
                                               .channels = reel_model_head_channels(&s->plan->model),
                                               .dtype = s->plan->work.dtype,
                                               .parts = parts,
                                               .first_head = s->first_head,
                                               .x = by_part,
                                               .y = merged});
    return merged;
}

/* Attention of this segment's queries to the first `visible` keys of segment `of`. A causal block of frames
 * sees itself and all blocks before it. So the keys of its queries are a range that begins at the first key,
 * and no mask of size l x l is needed. */
static void attend_segment(struct reel_sequence_parallel *s, int64_t of, int64_t visible, const void *k,
                           const void *v, int merge)
{
    const struct reel_plan *plan = s->plan;
    int64_t C = reel_model_head_channels(&plan->model), heads = heads_of(s, s->comm->ulysses.rank),
            width = heads * C, row_bytes = width * reel_dtype_bytes(plan->work.dtype);
    int64_t block = plan->work.causal_block * plan->work.H * plan->work.W,
            end = s->segment.first + s->segment.count;
    int64_t first_key = reel_plan_segment(plan, &s->tokens, of).first;
    const char *q = s->arena->at[REEL_HEADS_Q];
    char *out = s->arena->at[REEL_HEADS_OUT];
    float *lse = s->arena->at[REEL_HEADS_LSE];
    for (int64_t first = s->segment.first, next; first < end; first = next) {
        int64_t block_end = block > 0 ? (first / block + 1) * block : end, keys = visible;
        next = block_end < end ? block_end : end;
        if (block > 0 && block_end - first_key < keys)
            keys = block_end - first_key;
        if (keys <= 0)
            continue;
        int64_t row = first - s->segment.first;
        reel_attention(s->stream, (struct reel_attention){.queries = next - first,
                                                          .keys = keys,
                                                          .heads = heads,
                                                          .channels = C,
                                                          .scale = 1.0 / sqrt((double)C),
                                                          .dtype = plan->work.dtype,
                                                          .q = q + row * row_bytes,
                                                          .q_stride = width,
                                                          .k = k,
                                                          .v = v,
                                                          .kv_stride = width,
                                                          .out = out + row * row_bytes,
                                                          .out_stride = width,
                                                          .lse = lse ? lse + row * heads : NULL,
                                                          .merge = merge});
    }
}

/* The bytes of a row of this rank's heads. */
static int64_t row_bytes(const struct reel_sequence_parallel *s)
{
    return width_of(s) * reel_dtype_bytes(s->plan->work.dtype);
}

/* Collective over the ring axis. Sends this segment's keys and values to the segment `step` places later in
 * the ring, as far as that segment may see them, and receives those of the segment `step` places earlier.
 * Runs on a side stream while attention computes. */
static enum reel_status pass_keys(void *job, struct reel_stream *side)
{
    const struct reel_sequence_parallel *s = job;
    const struct reel_axis *ring = &s->comm->ring;
    int64_t me = ring->rank, to = (me + s->step) % ring->size,
            from = (me - s->step + ring->size) % ring->size;
    int64_t send = reel_plan_visible(s->plan, &s->tokens, to, me) * row_bytes(s),
            receive = reel_plan_visible(s->plan, &s->tokens, me, from) * row_bytes(s);
    struct reel_sendrecv keys = {.to = to,
                                 .from = from,
                                 .send = s->arena->at[REEL_HEADS_K],
                                 .send_bytes = send,
                                 .receive = s->coming,
                                 .receive_bytes = receive,
                                 .yields = s->transfer.threaded};
    struct reel_sendrecv both[] = {keys, keys};
    both[1].send = s->arena->at[REEL_HEADS_V];
    both[1].receive = s->coming + receive;
    return reel_sendrecv(ring, side, REEL_TRAFFIC_KEYS, both, 2);
}

static void begin_step(struct reel_sequence_parallel *s, int64_t step)
{
    struct reel_axis *ring = &s->comm->ring;
    int64_t to = (ring->rank + step) % ring->size, max = reel_plan_segment(s->plan, &s->tokens, 0).count;
    s->step = step;
    s->coming = (char *)s->arena->at[REEL_EXCHANGE_RING] + (step - 1) % 2 * 2 * max * row_bytes(s);
    ring->sent_bytes[REEL_TRAFFIC_KEYS] +=
        2 * reel_plan_visible(s->plan, &s->tokens, to, ring->rank) * row_bytes(s);
    reel_async_transfer_begin(&s->transfer, s->stream, pass_keys, s);
}

void reel_sequence_parallel_attend(struct reel_sequence_parallel *s)
{
    int64_t me = s->comm->ring.rank, size = s->comm->ring.size, from = me;
    const void *k = s->arena->at[REEL_HEADS_K], *v = s->arena->at[REEL_HEADS_V];
    wait_transfer(s, &s->heads_transfer);
    for (int64_t step = 0; step < size; step++) {
        if (step > 0) {
            wait_transfer(s, &s->transfer);
            if (reel_fault(REEL_FAULT_RING))
                reel_stream_fail(s->stream, REEL_BAD_COMM, "planted: keys and values did not arrive");
            from = (me - step + size) % size;
            k = s->coming;
            v = s->coming + reel_plan_visible(s->plan, &s->tokens, me, from) * row_bytes(s);
        }
        if (step + 1 < size)
            begin_step(s, step + 1);
        attend_segment(s, from, reel_plan_visible(s->plan, &s->tokens, me, from), k, v, step > 0);
    }
}
