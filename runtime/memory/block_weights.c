/* Resident blocks are used in place; gathered blocks arrive in two buffers in turn. */
#include "block_weights.h"

#include "fault.h"

void reel_block_weights_open(struct reel_block_weights *blocks, const struct reel_plan *plan,
                             const struct reel_weights *weights, void *buffers, struct reel_axis *axis,
                             struct reel_stream *stream)
{
    *blocks = (struct reel_block_weights){.weights = weights,
                                          .axis = axis,
                                          .stream = stream,
                                          .layers = weights->network->layers,
                                          .gathered = plan->mesh.gathered != 0};
    if (!blocks->gathered)
        return;
    blocks->shares = reel_layout_shares(&weights->layout, axis->size);
    blocks->buffer[0] = buffers;
    blocks->buffer[1] = blocks->buffer[0] + weights->layout.block_bytes;
    reel_async_transfer_open(&blocks->transfer, "weights transfer", stream, axis->nccl != NULL);
}

void reel_block_weights_close(struct reel_block_weights *blocks)
{
    reel_async_transfer_close(&blocks->transfer);
}

/* The bytes of a block that `part` of the axis sends in this pass: the needed bytes of its share. */
static struct reel_range needed_share(const struct reel_block_weights *blocks, int64_t part)
{
    struct reel_range share = {blocks->shares.first[part], reel_cut_count(&blocks->shares, part)};
    return reel_range_intersect(share, blocks->needed);
}

/* Collective over the axis. Gathers the shares of block `coming` on a side stream while the caller
 * computes. */
static enum reel_status gather_block(void *job, struct reel_stream *side)
{
    const struct reel_block_weights *blocks = job;
    int64_t me = blocks->axis->rank, size = blocks->axis->size;
    struct reel_range mine = needed_share(blocks, me);
    const char *own = (const char *)reel_weights_block(blocks->weights, blocks->coming) + mine.first -
                      blocks->shares.first[me];
    char *block = blocks->buffer[blocks->coming % 2];
    struct reel_sendrecv messages[REEL_PARTS_MAX];
    reel_copy(side, (struct reel_copy){.direction = REEL_ON_DEVICE,
                                       .rows = 1,
                                       .row_bytes = mine.count,
                                       .from = own,
                                       .to = block + mine.first});
    for (int64_t s = 1; s < size; s++) {
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        struct reel_range theirs = needed_share(blocks, from);
        messages[s - 1] = (struct reel_sendrecv){.to = to,
                                                 .from = from,
                                                 .send = own,
                                                 .send_bytes = mine.count,
                                                 .receive = block + theirs.first,
                                                 .receive_bytes = theirs.count,
                                                 .yields = blocks->transfer.threaded};
    }
    return reel_sendrecv(blocks->axis, side, REEL_TRAFFIC_WEIGHTS, messages, size - 1);
}

static void begin_gather(struct reel_block_weights *blocks, int64_t layer)
{
    blocks->coming = layer;
    blocks->axis->sent_bytes[REEL_TRAFFIC_WEIGHTS] +=
        (blocks->axis->size - 1) * needed_share(blocks, blocks->axis->rank).count;
    reel_async_transfer_begin(&blocks->transfer, blocks->stream, gather_block, blocks);
}

void reel_block_weights_begin(struct reel_block_weights *blocks, struct reel_range needed)
{
    blocks->needed = needed;
    if (blocks->gathered)
        begin_gather(blocks, 0);
}

void reel_block_weights_use(struct reel_block_weights *blocks, int64_t layer)
{
    blocks->now_layer = layer;
    if (!blocks->gathered) {
        blocks->now = reel_weights_block(blocks->weights, layer);
        return;
    }
    enum reel_status status = reel_async_transfer_end(&blocks->transfer, blocks->stream);
    if (status == REEL_OK && reel_fault(REEL_FAULT_BLOCK))
        status = reel_fail(REEL_BAD_COMM, "planted: a block was not gathered");
    if (status != REEL_OK)
        reel_stream_fail(blocks->stream, status, "%s", reel_error_here()->cause);
    blocks->now = blocks->buffer[layer % 2];
    if (layer + 1 < blocks->layers)
        begin_gather(blocks, layer + 1);
}

void reel_block_weights_leave(struct reel_block_weights *blocks)
{
    enum reel_status status =
        blocks->gathered ? reel_async_transfer_end(&blocks->transfer, blocks->stream) : REEL_OK;
    if (status != REEL_OK)
        reel_stream_fail(blocks->stream, status, "%s", reel_error_here()->cause);
}

const void *reel_block_weight(const struct reel_block_weights *blocks, int tensor)
{
    int64_t offset = blocks->weights->layout.offset[tensor];
    return offset < 0 ? NULL : blocks->now + offset;
}

const void *reel_block_bias(const struct reel_block_weights *blocks, int tensor)
{
    int bias = blocks->weights->network->tensors[tensor].bias;
    return bias < 0 ? NULL : reel_block_weight(blocks, bias);
}

double reel_block_scale(const struct reel_block_weights *blocks, int tensor)
{
    return reel_weights_scale(blocks->weights, tensor, blocks->now_layer);
}
