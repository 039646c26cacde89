/* The weights that a rank holds in the memory of its device, and how they are loaded.
 *
 * The network says in which phase a tensor is held, and in which dtype: the plan's, that of the weights of
 * the blocks' linear layers (which may be fp8), or float.
 *
 * The plan says what a rank holds (slice.h): the global tensors, which exist once, and its slice of every
 * block, or with gathered weights its share of that slice. Every byte of the model files is read once a host.
 * The ranks of a host read disjoint load units, and send each other the portions that each one holds. So a
 * rank never needs more memory than for its own weights and three load units of 16 MiB.
 *
 *     REEL_PASS(reel_weights_load(&comm, &files, &plan, REEL_PHASE_SAMPLING, memory, &loading, &stream,
 *                                 &weights));
 *     const void *patch = reel_weight(&weights, REEL_PATCH_WEIGHT);          [D, 4 in_channels] */
#ifndef REEL_WEIGHTS_H
#define REEL_WEIGHTS_H

#include "comm.h"
#include "model_file.h"

struct reel_weights {
    const struct reel_network *network; /* the files' own; the files must outlive the weights */
    char *base; /* the global tensors, then what the rank holds of block 0, of block 1, ... */
    struct reel_layout layout;
    struct reel_range held; /* bytes of a block's slice that this rank holds: all, or its share */
    const float *scales;    /* of fp8 weights (model_file.h); NULL without fp8 */
};

/* The result of loading on one rank. */
struct reel_loaded {
    int64_t read_bytes; /* read from storage by this rank; for random weights, bytes generated */
    int64_t kept_bytes; /* in memory */
    double seconds;
};

/* The callbacks that loading calls, and its results. */
struct reel_loading {
    void (*progress)(void *context, int64_t done, int64_t all); /* load units of this host; or NULL */
    int (*cancelled)(void *context);                            /* 1: stop loading; or NULL */
    void *context;
    struct reel_loaded loaded;
    /* Of all values of all loads; it depends neither on which rank read them nor on the stored dtype. */
    uint64_t hash;
};

/* Not collective. The bytes that reel_weights_load needs on a rank. */
int64_t reel_weights_bytes(const struct reel_plan *plan, const struct reel_network *network, int64_t rank,
                           int phase);

/* Collective over world. Reads the weights that this rank holds in a phase into `memory`: memory of the
 * stream's backend, aligned to 64 bytes, reel_weights_bytes long. It stays the caller's, and *weights is a
 * view of it. Adds to loading->hash. Errors of reel_model_read, the
 * same on every rank; REEL_BAD_INPUT when hosts read different values; REEL_PREEMPTED when `cancelled`
 * returned 1 on any rank; REEL_NO_MEMORY; REEL_BAD_COMM. */
enum reel_status reel_weights_load(struct reel_comm *comm, const struct reel_model_files *files,
                                   const struct reel_plan *plan, int phase, void *memory,
                                   struct reel_loading *loading, struct reel_stream *stream,
                                   struct reel_weights *weights);

/* Not collective. A global tensor, row-major; NULL when this rank does not hold it. */
const void *reel_weight(const struct reel_weights *weights, int tensor);

/* Not collective. The bias of a global weight; NULL when it has none. */
const void *reel_bias(const struct reel_weights *weights, int tensor);

/* Not collective. The scale of the weight of a block's linear layer when its dtype is fp8; else 1. */
double reel_weights_scale(const struct reel_weights *weights, int tensor, int64_t layer);

/* Not collective. The bytes that this rank holds of a block: [held.first, held.first + held.count) of its
 * slice. */
const void *reel_weights_block(const struct reel_weights *weights, int64_t layer);

#endif
