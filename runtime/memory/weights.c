/* Reading the model files once a host, and sending each rank what it holds. */
#include "weights.h"

#include "dtype.h"
#include "fault.h"
#include "load_units.h"
#include "heartbeat.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* The state of one load. There are three buffers of one load unit each: `read` for what this rank reads,
 * `packed` for what it sends to a peer, `received` for what a peer sends. Rows that a rank holds whole are
 * read, or received, at their final place without a buffer. */
struct loader {
    const struct reel_model_files *files;
    const struct reel_axis *host;
    struct reel_load_units units;
    struct reel_rank_weights *rank_weights; /* [host->size] */
    struct reel_stream *stream;             /* of the backend that `memory` belongs to */
    char *memory;
    int is_plain; /* 1: weights are float in the host's memory, so rows can be read or received in place */
    float *read, *packed, *received;
    void *rounded; /* room for a load unit in the held dtype, if that is not float */
    int64_t buffer_bytes;
    int64_t read_bytes;
    uint64_t hash; /* of the rows that this rank has read */
};

int64_t reel_weights_bytes(const struct reel_plan *plan, const struct reel_network *network, int64_t rank,
                           int phase)
{
    struct reel_rank_weights rank_weights = reel_rank_weights_of(plan, network, rank, phase);
    return reel_rank_weights_bytes(&rank_weights, network);
}

const void *reel_weight(const struct reel_weights *weights, int tensor)
{
    int64_t offset = weights->layout.offset[tensor];
    return !weights->network->tensors[tensor].in_block && offset >= 0 ? weights->base + offset : NULL;
}

const void *reel_bias(const struct reel_weights *weights, int tensor)
{
    int bias = weights->network->tensors[tensor].bias;
    return bias < 0 ? NULL : reel_weight(weights, bias);
}

double reel_weights_scale(const struct reel_weights *weights, int tensor, int64_t layer)
{
    return weights->scales ? (double)weights->scales[layer * weights->network->tensor_count + tensor] : 1;
}

const void *reel_weights_block(const struct reel_weights *weights, int64_t layer)
{
    return weights->base + weights->layout.global_bytes + layer * weights->held.count;
}

static struct reel_portion portion_of(const struct loader *l, int64_t host_rank,
                                      const struct reel_tensor_rows *rows)
{
    return reel_portion_of(&l->files->network, &l->rank_weights[host_rank], rows);
}

static float *plain_at(const struct loader *l, int64_t to)
{
    return (float *)(void *)(l->memory + to);
}

/* Where this rank reads rows to: their final place when it holds all of them as float, else the buffer
 * `read`. */
static float *values_of(const struct loader *l, const struct reel_tensor_rows *rows)
{
    struct reel_portion mine = portion_of(l, l->host->rank, rows);
    int direct = l->is_plain && mine.count == rows->count * rows->columns;
    return direct ? plain_at(l, mine.to) : l->read + rows->at;
}

/* Copies a portion of the rows in `values` to `out`, dense. */
static void pick_portion(const struct reel_portion *portion, const struct reel_tensor_rows *rows,
                         const float *values, float *out)
{
    int64_t width = portion->width, run;
    if (width == rows->columns) {
        memcpy(out, values + portion->from + portion->skip, (size_t)portion->count * sizeof *out);
        return;
    }
    for (int64_t done = 0; done < portion->count; done += run) {
        int64_t row = (portion->skip + done) / width, column = (portion->skip + done) % width;
        run = width - column < portion->count - done ? width - column : portion->count - done;
        memcpy(out + done, values + portion->from + row * rows->columns + column, (size_t)run * sizeof *out);
    }
}

/* Converts values to the dtype of a portion, and uploads them to its place in `memory`. */
static void upload_portion(const struct loader *l, const struct reel_portion *portion, const float *values)
{
    const void *held = portion->bytes == (int64_t)sizeof *values ? values : l->rounded;
    uint16_t *halves = l->rounded;
    uint8_t *quarters = l->rounded;
    for (int64_t i = 0; portion->bytes == 2 && i < portion->count; i++)
        halves[i] = reel_bf16_from_float(values[i]);
    for (int64_t i = 0; portion->bytes == 1 && i < portion->count; i++)
        quarters[i] = reel_f8_e4m3_from_float(values[i]);
    reel_upload(l->stream, l->memory + portion->to, held, portion->count * portion->bytes);
}

/* Copies this rank's portion of the rows it has read to its place. */
static void place_portion(const struct loader *l, const struct reel_portion *portion,
                          const struct reel_tensor_rows *rows, const float *values)
{
    if (l->is_plain) {
        pick_portion(portion, rows, values, plain_at(l, portion->to));
        return;
    }
    const float *dense = values + portion->from + portion->skip;
    if (portion->width != rows->columns) {
        pick_portion(portion, rows, values, l->packed);
        dense = l->packed;
    }
    upload_portion(l, portion, dense);
}

/* The rows of the load unit that a rank of the host reads in a round. Each rank reads a range of consecutive
 * load units; a rank with one unit less than others has none in the last round. */
static const struct reel_tensor_rows *rows_of(const struct loader *l, int64_t host_rank, int64_t round,
                                              int64_t *count)
{
    int64_t all = l->units.count, size = l->host->size, unit = all * host_rank / size + round;
    int there = unit < all * (host_rank + 1) / size;
    *count = there ? l->units.first[unit + 1] - l->units.first[unit] : 0;
    return there ? &l->units.rows[l->units.first[unit]] : NULL;
}

/* The sum of one hash a row, seeded with the tensor's number, layer and row. So the sum over ranks does not
 * depend on which rank read which row, nor on the stored dtype. */
static uint64_t hash_rows(const struct reel_network *network, const struct reel_tensor_rows *rows,
                          const float *values)
{
    int64_t number = network->tensors[rows->tensor].number;
    uint64_t sum = 0;
    for (int64_t r = 0; r < rows->count; r++) {
        const int64_t position[3] = {number, rows->layer, rows->first + r};
        sum += XXH3_64bits_withSeed(values + r * rows->columns, (size_t)rows->columns * sizeof *values,
                                    XXH3_64bits(position, sizeof position));
    }
    return sum;
}

/* Reads this rank's load unit of a round, and keeps the portions that this rank holds. */
static enum reel_status read_unit(struct loader *l, int64_t round)
{
    int64_t count;
    const struct reel_tensor_rows *rows = rows_of(l, l->host->rank, round, &count);
    reel_heartbeat();
    REEL_NEED(!reel_fault(REEL_FAULT_WEIGHTS_READ), REEL_BAD_INPUT, "planted: the weights cannot be read");
    for (const struct reel_tensor_rows *end = rows + count; rows < end; rows++) {
        struct reel_portion mine = portion_of(l, l->host->rank, rows);
        int64_t elements = rows->count * rows->columns;
        float *values = values_of(l, rows);
        REEL_PASS(reel_model_read(l->files, rows->tensor, rows->layer, rows->first * rows->columns, elements,
                                  values));
        l->hash += hash_rows(&l->files->network, rows, values);
        l->read_bytes += elements * reel_model_stored_bytes(l->files, rows->tensor, rows->layer);
        if (!l->is_plain || values != plain_at(l, mine.to))
            place_portion(l, &mine, rows, values);
    }
    return REEL_OK;
}

/* The values that a peer holds of the load unit that this rank has read, dense: *packed elements. */
static const float *pack_portions(const struct loader *l, int64_t round, int64_t peer, int64_t *packed)
{
    int64_t count;
    const struct reel_tensor_rows *rows = rows_of(l, l->host->rank, round, &count);
    *packed = 0;
    for (int64_t r = 0; r < count; r++) {
        struct reel_portion portion = portion_of(l, peer, &rows[r]);
        const float *values = values_of(l, &rows[r]);
        if (count == 1 && portion.width == rows[r].columns) {
            *packed = portion.count;
            return values + portion.from + portion.skip;
        }
        pick_portion(&portion, &rows[r], values, l->packed + *packed);
        *packed += portion.count;
    }
    return l->packed;
}

/* Where this rank receives its portions of a peer's load unit: *expected elements. */
static float *arrival(const struct loader *l, int64_t round, int64_t peer, int64_t *expected)
{
    int64_t count;
    const struct reel_tensor_rows *rows = rows_of(l, peer, round, &count);
    float *at = l->received;
    *expected = 0;
    for (int64_t r = 0; r < count; r++) {
        struct reel_portion mine = portion_of(l, l->host->rank, &rows[r]);
        *expected += mine.count;
        if (count == 1 && l->is_plain)
            at = plain_at(l, mine.to);
    }
    return at;
}

/* Uploads the portions in the buffer `received` to their places. */
static void unpack_portions(const struct loader *l, int64_t round, int64_t peer)
{
    int64_t count;
    const struct reel_tensor_rows *rows = rows_of(l, peer, round, &count);
    const float *next = l->received;
    for (int64_t r = 0; r < count && (count > 1 || !l->is_plain); r++) {
        struct reel_portion mine = portion_of(l, l->host->rank, &rows[r]);
        upload_portion(l, &mine, next);
        next += mine.count;
    }
}

/* Collective over host. Every rank has read its load unit of the round; each receives its portions of the
 * others' units. */
static enum reel_status exchange_portions(const struct loader *l, int64_t round)
{
    int64_t me = l->host->rank, size = l->host->size, send_count, receive_count;
    enum reel_status status = REEL_OK;
    for (int64_t s = 1; s < size; s++) {
        int64_t to = (me + s) % size, from = (me - s + size) % size;
        const float *send = pack_portions(l, round, to, &send_count);
        float *receive = arrival(l, round, from, &receive_count);
        struct reel_sendrecv values = {.to = to,
                                       .from = from,
                                       .send = send,
                                       .send_bytes = send_count * (int64_t)sizeof *send,
                                       .receive = receive,
                                       .receive_bytes = receive_count * (int64_t)sizeof *receive};
        enum reel_status swapped = reel_sendrecv(l->host, l->stream, REEL_TRAFFIC_WEIGHTS, &values, 1);
        unpack_portions(l, round, from);
        if (status == REEL_OK)
            status = swapped;
    }
    return status;
}

/* Collective over host. 1 when any rank of the host has failed. */
static int has_failed(const struct reel_axis *host, enum reel_status *status)
{
    int mine = *status != REEL_OK, any = 1;
    if (MPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, host->mpi) == MPI_SUCCESS)
        return any;
    *status = reel_fail(REEL_BAD_COMM, "the ranks of a host could not agree whether the weights are read");
    return 1;
}

/* Collective over host. Reads one load unit a rank in each round. A rank that fails still exchanges with its
 * peers in that round, and then all ranks of the host stop. A hang here means that a rank has left the loop
 * early. */
static enum reel_status read_all(struct loader *l, const struct reel_loading *loading)
{
    int64_t size = l->host->size, all = l->units.count;
    enum reel_status status = REEL_OK;
    for (int64_t round = 0; round * size < all; round++) {
        status = read_unit(l, round);
        if (status == REEL_OK && loading->cancelled && loading->cancelled(loading->context))
            status = reel_fail(REEL_PREEMPTED,
                               "a notice came while the weights were read: nothing was lost, and the "
                               "same command starts again");
        enum reel_status exchanged = exchange_portions(l, round);
        if (status == REEL_OK)
            status = exchanged;
        if (status == REEL_OK)
            status = l->stream->status;
        if (has_failed(l->host, &status))
            return status;
        if (loading->progress)
            loading->progress(loading->context, (round + 1) * size < all ? (round + 1) * size : all, all);
    }
    return status;
}

/* Collective over world. Adds the hash of all values to *hash. Every host has read all values, so all must
 * agree. */
static enum reel_status share_hash(struct reel_comm *comm, uint64_t mine, uint64_t *hash)
{
    uint64_t min, max, all = 0;
    int failed = MPI_Allreduce(&mine, &all, 1, MPI_UINT64_T, MPI_SUM, comm->host.mpi);
    if (reel_fault(REEL_FAULT_WEIGHTS_HASH))
        all++;
    failed |= MPI_Allreduce(&all, &min, 1, MPI_UINT64_T, MPI_MIN, comm->world.mpi);
    failed |= MPI_Allreduce(&all, &max, 1, MPI_UINT64_T, MPI_MAX, comm->world.mpi);
    REEL_NEED(failed == MPI_SUCCESS, REEL_BAD_COMM, "the ranks could not compare their weights");
    REEL_NEED(min == max, REEL_BAD_INPUT,
              "the hosts have read different weights, hashes from %016llx to %016llx, expected the same "
              "files on all",
              (unsigned long long)min, (unsigned long long)max);
    *hash += all;
    return REEL_OK;
}

static void close_loader(struct loader *l)
{
    reel_load_units_free(&l->units);
    free(l->rank_weights);
    reel_release_host(l->stream->ops, l->read, l->buffer_bytes);
}

/* Collective over host. Finds the ranks of the host and what each of them holds, and allocates the
 * buffers. */
static enum reel_status open_loader(const struct reel_comm *comm, const struct reel_plan *plan, int phase,
                                    struct loader *l)
{
    const struct reel_network *network = &l->files->network;
    int64_t ranks[REEL_PARTS_MAX], size = l->host->size;
    REEL_NEED(MPI_Allgather(&comm->world.rank, 1, MPI_INT64_T, ranks, 1, MPI_INT64_T, l->host->mpi) ==
                  MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks of a host could not exchange their rank numbers");
    REEL_PASS(reel_load_units_make(network, phase, size, &l->units));
    l->rank_weights = malloc((size_t)size * sizeof *l->rank_weights);
    for (int64_t r = 0; l->rank_weights && r < size; r++)
        l->rank_weights[r] = reel_rank_weights_of(plan, network, ranks[r], phase);
    l->is_plain = l->rank_weights && l->stream->ops->is_host &&
                  reel_layout_is_float(&l->rank_weights[l->host->rank].layout, network);
    int64_t buffers = size > 1 ? 3 : l->is_plain ? 1 : 2;
    int64_t held_bytes = l->is_plain ? 0 : 4; /* max bytes of an element */
    l->buffer_bytes = l->units.largest * (buffers * (int64_t)sizeof *l->read + held_bytes);
    l->read = reel_allocate_host(l->stream->ops, l->buffer_bytes);
    REEL_NEED(l->rank_weights && l->read, REEL_NO_MEMORY,
              "no memory to read weights in load units of %lld bytes",
              (long long)(l->units.largest * (int64_t)sizeof *l->read));
    l->packed = l->read + (buffers > 1 ? l->units.largest : 0);
    l->received = l->read + (buffers > 2 ? 2 * l->units.largest : 0);
    l->rounded = l->read + buffers * l->units.largest;
    return REEL_OK;
}

enum reel_status reel_weights_load(struct reel_comm *comm, const struct reel_model_files *files,
                                   const struct reel_plan *plan, int phase, void *memory,
                                   struct reel_loading *loading, struct reel_stream *stream,
                                   struct reel_weights *weights)
{
    double began = MPI_Wtime();
    int64_t bytes = reel_weights_bytes(plan, &files->network, comm->world.rank, phase);
    struct loader l = {.files = files, .host = &comm->host, .memory = memory, .stream = stream};
    enum reel_status status = reel_agree(comm, open_loader(comm, plan, phase, &l));
    if (status == REEL_OK) { /* gathering a block sends its alignment padding too: it must be defined */
        reel_clear(stream, (struct reel_clear){.bytes = bytes, .to = memory});
        status = reel_agree(comm, read_all(&l, loading));
    }
    if (status == REEL_OK) {
        const struct reel_rank_weights *mine = &l.rank_weights[comm->host.rank];
        *weights = (struct reel_weights){.network = &files->network,
                                         .base = memory,
                                         .layout = mine->layout,
                                         .held = mine->held,
                                         .scales = files->scales};
        loading->loaded = (struct reel_loaded){
            .read_bytes = l.read_bytes, .kept_bytes = bytes, .seconds = MPI_Wtime() - began};
    }
    if (status == REEL_OK)
        status = share_hash(comm, l.hash, &loading->hash);
    close_loader(&l);
    return status;
}
