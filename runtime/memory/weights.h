/* The weights that a rank holds, in the memory of its device, and how they get there.
 *
 * They are held as the plan's numbers, or the weights of the blocks' linear layers as fp8; those that make the embedding
 * table as float.
 *
 * What a rank holds is the plan's business (slice.h): the tensors that exist once, and of every block its slice, or with
 * gathered weights its share of the slice. Every byte of the checkpoint is read once per host: the ranks of a host read
 * disjoint pieces and send each other what each holds of them, so that a rank never has more than its part and three
 * pieces of 16 MiB.
 *
 *     REEL_PASS(reel_weights_load(&comm, &files, &plan, REEL_HELD_ALWAYS, memory, &loading, &stream, &weights));
 *     const void *patch = reel_weight(&weights, REEL_PATCH_WEIGHT);                      [D, 4 in_channels] */
#ifndef REEL_WEIGHTS_H
#define REEL_WEIGHTS_H

#include "comm.h"
#include "model_file.h"

struct reel_weights {
    char *base; /* the global tensors, then of each block what the rank holds, one after the other */
    struct reel_layout layout;
    struct reel_range held; /* bytes of a block's slice that are here: all, or this rank's share */
    const float *scales;    /* of fp8 weights (model_file.h); NULL: there are none */
};

/* What loading was for a rank. */
struct reel_loaded {
    int64_t read_bytes; /* from storage, by this rank; of random weights, as made */
    int64_t kept_bytes; /* in memory */
    double seconds;
};

/* Loading as it goes, and as it went. */
struct reel_loading {
    void (*progress)(void *context, int64_t done, int64_t all); /* pieces of this host; or NULL */
    int (*cancelled)(void *context);                            /* whether to stop; or NULL */
    void *context;
    struct reel_loaded loaded;
    uint64_t hash; /* of all values read in all loads, whoever read them, and however they were stored */
};

/* Not collective. The bytes that reel_weights_load needs: of the plan's REEL_WEIGHTS, or of the whole tensors that make
 * the embedding table. */
int64_t reel_weights_bytes(const struct reel_plan *plan, int64_t rank, enum reel_holding holding);

/* Collective over world. Reads what this rank holds into memory of the stream's backend, aligned to 64 and
 * reel_weights_bytes long, which stays the caller's; weights is a view of it. Tensors for the embedding are whole on
 * every rank. Errors of reel_model_read, the same on every rank; REEL_BAD_INPUT when hosts read different values;
 * REEL_PREEMPTED once loading was cancelled, on any rank of a host. */
enum reel_status reel_weights_load(struct reel_comm *comm, const struct reel_model_files *files,
                                   const struct reel_plan *plan, enum reel_holding holding, void *memory,
                                   struct reel_loading *loading, struct reel_stream *stream,
                                   struct reel_weights *weights);

/* Not collective. A tensor that exists once, row-major; NULL when it is not held. */
const void *reel_weight(const struct reel_weights *weights, enum reel_tensor tensor);

/* Not collective. What the weight of a block's linear layer is multiplied by: 1 but for those held as fp8. */
double reel_weights_scale(const struct reel_weights *weights, enum reel_tensor tensor, int64_t layer);

/* Not collective. What is held of a block: held.count bytes of its slice, from held.first on. */
const void *reel_weights_block(const struct reel_weights *weights, int64_t layer);

#endif
