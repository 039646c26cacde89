/* Blocks as they are used. */
#include "blocks.h"

#include "fault.h"

void reel_blocks_open(struct reel_blocks *blocks, const struct reel_plan *plan,
                      const struct reel_weights *weights, float *buffers, struct reel_axis *axis,
                      struct reel_stream *stream)
{
    *blocks = (struct reel_blocks){.weights = weights,
                                   .axis = axis,
                                   .stream = stream,
                                   .layers = plan->model.layers,
                                   .gathered = plan->mesh.gathered != 0};
    if (!blocks->gathered)
        return;
    blocks->shares = reel_layout_shares(&weights->layout, axis->size);
    blocks->buffer[0] = buffers;
    blocks->buffer[1] = buffers + weights->layout.block_elements;
    reel_mover_open(&blocks->mover);
}

void reel_blocks_close(struct reel_blocks *blocks)
{
    reel_mover_close(&blocks->mover);
}

/* What a part of the axis brings to this pass. */
static struct reel_run brought(const struct reel_blocks *blocks, int64_t part)
{
    struct reel_run share = {blocks->shares.first[part], reel_cut_count(&blocks->shares, part)};
    return reel_run_common(share, blocks->needed);
}

/* Brings the parts of block `coming` together; runs beside the computing. Collective over the axis. */
static enum reel_status gather(void *job)
{
    const struct reel_blocks *blocks = job;
    const struct reel_axis *axis = blocks->axis;
    int64_t me = axis->rank, size = axis->size, bytes = (int64_t)sizeof(float);
    struct reel_run mine = brought(blocks, me);
    const float *own =
        reel_weights_block(blocks->weights, blocks->coming) + mine.first - blocks->shares.first[me];
    float *block = blocks->buffer[blocks->coming % 2];
    enum reel_status status = REEL_OK;
    struct reel_stream copies = {.ops = axis->ops}; /* its own: this runs beside the computing */
    reel_copy(&copies, (struct reel_copy){.direction = REEL_ON_DEVICE,
                                          .rows = 1,
                                          .row_bytes = mine.count * bytes,
                                          .from = own,
                                          .to = block + mine.first});
    status = copies.status;
    for (int64_t s = 1; s < size; s++) { /* to the end also after a failure: the others come by */
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        struct reel_run theirs = brought(blocks, from);
        enum reel_status swapped = reel_swap(axis, to, own, mine.count * bytes, from, block + theirs.first,
                                             theirs.count * bytes, blocks->mover.threaded);
        status = status == REEL_OK ? swapped : status;
    }
    return status;
}

static void begin(struct reel_blocks *blocks, int64_t layer)
{
    blocks->coming = layer;
    blocks->axis->sent_bytes[REEL_SENT_WEIGHTS] +=
        (blocks->axis->size - 1) * brought(blocks, blocks->axis->rank).count * (int64_t)sizeof(float);
    reel_mover_begin(&blocks->mover, gather, blocks);
}

void reel_blocks_begin(struct reel_blocks *blocks, struct reel_run needed)
{
    blocks->needed = needed;
    if (blocks->gathered)
        begin(blocks, 0);
}

void reel_blocks_use(struct reel_blocks *blocks, int64_t layer)
{
    if (!blocks->gathered) {
        blocks->now = reel_weights_block(blocks->weights, layer);
        return;
    }
    enum reel_status status = reel_mover_end(&blocks->mover);
    if (status == REEL_OK && reel_fault(REEL_FAULT_BLOCK))
        status = reel_fail(REEL_BAD_COMM, "planted: a block was not gathered");
    if (status != REEL_OK)
        reel_stream_fail(blocks->stream, status, "%s", reel_error_here()->cause);
    blocks->now = blocks->buffer[layer % 2];
    if (layer + 1 < blocks->layers)
        begin(blocks, layer + 1);
}

void reel_blocks_leave(struct reel_blocks *blocks)
{
    if (blocks->gathered && reel_mover_end(&blocks->mover) != REEL_OK)
        reel_stream_fail(blocks->stream, REEL_BAD_COMM, "%s", reel_error_here()->cause);
}

const float *reel_block_weight(const struct reel_blocks *blocks, enum reel_tensor tensor)
{
    int64_t offset = blocks->weights->layout.offset[tensor];
    return offset < 0 ? NULL : blocks->now + offset;
}
