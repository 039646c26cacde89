/* The buffers of a rank, as a table: how many bytes each has, in which phases it is in use, on the device or
 * the host, and in which category the log counts it. From the table and a plan follows a map of two blocks of
 * memory, one of the device and one of the host, which the arena allocates.
 *
 * A buffer is in use from its first phase to its last. Buffers that are never in use in one phase may share
 * memory: the weights that make the table of timestep rows lie where the weights of sampling come later.
 *
 *     struct reel_memory_map map;
 *     reel_memory_map_make(&reel_buffers, &plan, 3, &map);                        rank 3
 *     map.bytes[REEL_TOKENS_X], map.offset[REEL_TOKENS_X], map.device.bytes
 *
 * The table of another network is another struct reel_buffer_table, with phases of its own. Not collective;
 * all functions are pure. */
#ifndef REEL_BUFFERS_H
#define REEL_BUFFERS_H

#include "network.h"
#include "plan.h"

/* The categories in which the log reports memory. */
enum reel_memory {
    REEL_MEMORY_WEIGHTS,
    REEL_MEMORY_ACTIVATIONS,
    REEL_MEMORY_EMBEDDING,
    REEL_MEMORY_TEACACHE_PREVIOUS,
    REEL_MEMORY_TEACACHE_RESIDUAL,
    REEL_MEMORY_CONTEXT,
    REEL_MEMORY_LATENTS,
    REEL_MEMORY_COMMUNICATION,
    REEL_MEMORY_LIBRARIES,
    REEL_MEMORIES
};

/* A category's name in the log. */
const char *reel_memory_name(enum reel_memory memory);

/* The counts of one rank from which sizes follow. Counts of tokens are those of the rank with the most. */
struct reel_counts {
    const struct reel_plan *plan;
    const struct reel_network *network;
    int64_t rank;
    int64_t b;          /* bytes of an element of work.dtype */
    int64_t D, C;       /* width, channels of a head */
    int64_t L, n, g, l; /* tokens: all, of a rank, of its tensor axis, of its segment */
    int64_t d, f, h;    /* columns of its part of the tensor axis, of its feed-forward; heads of its own */
    int64_t patch;      /* latents of one channel in a token */
    int64_t plane;      /* latents of one channel in a frame */
    int64_t branches;   /* of guidance, on this rank */
};

struct reel_buffer_spec {
    const char *name;
    enum reel_memory memory;          /* the category that it counts in */
    enum reel_memory memory_expanded; /* the same with the expanded embedding */
    int on_host; /* 1: in host memory on every device: it is read from files, drawn, or written */
    int64_t (*bytes)(const struct reel_counts *counts); /* 0 where the rank has none */
    int first_phase, last_phase;                        /* in use from one to the other */
};

struct reel_buffer_table {
    const struct reel_buffer_spec *specs;
    int count, phases; /* at most REEL_BUFFERS_MAX; phases are 0 .. phases - 1 */
    /* Makes the network of a plan's model, whose weights some of the buffers hold. */
    void (*network)(const struct reel_model *model, struct reel_network *network);
};

enum { REEL_BUFFERS_MAX = 64, REEL_BUFFER_UNIT = 64 }; /* bytes; every buffer starts on a multiple */

/* One block of memory: its bytes, padding included, and the phase in which the most of them are in use; the
 * last such phase. */
struct reel_memory_block {
    int64_t bytes;
    int fullest_phase;
};

struct reel_memory_map {
    int64_t bytes[REEL_BUFFERS_MAX];  /* of each buffer of the table */
    int64_t offset[REEL_BUFFERS_MAX]; /* from the start of its block; 0 for a buffer of 0 bytes */
    struct reel_memory_block device, host;
    /* By category, the bytes of the buffers in use in their block's fullest phase. Their sum is what both
     * blocks have, without padding. */
    int64_t held[REEL_MEMORIES];
};

/* Places every buffer at the lowest offset that is free in all its phases, those of the most phases first.
 * With at most two phases a block is exactly as large as its fullest phase. With more, holes may remain, and
 * the block is larger by them. */
void reel_memory_map_make(const struct reel_buffer_table *table, const struct reel_plan *plan, int64_t rank,
                          struct reel_memory_map *map);

/* Only `held` of the map, which takes less time. */
void reel_memory_held(const struct reel_buffer_table *table, const struct reel_plan *plan, int64_t rank,
                      int64_t held[REEL_MEMORIES]);

/* The bytes of a rank's weights of a network in a phase, for tables. */
int64_t reel_counts_weights(const struct reel_counts *counts, int phase);

/* Every buffer of a rank that runs the transformer. Counts of tokens are those of the rank with the most: n
 * tokens of its own, g tokens of its tensor axis, l tokens of its segment. Other counts are those of the rank
 * itself: d columns of its part of the tensor axis, f columns of the feed-forward, h heads and so h C
 * columns. A token has p rows and columns of latents, A = p * p of each channel. A comment gives the shape
 * of a buffer in elements. "b [...]" are elements of work.dtype (struct reel_workload); without b they have 4
 * bytes, unless the comment names another type or size. */
enum reel_buffer {
    REEL_SCRATCH,
    REEL_EMBEDDING_E,    /* [R, D] */
    REEL_EMBEDDING_E0,   /* [R, 6, D] */
    REEL_WEIGHTS,        /* of sampling: resident slices, or shares */
    REEL_WEIGHTS_BLOCKS, /* [2, bytes of a block]: if gathered, the block in use and the next */
    /* [branches that pass through a block together, n, D]: the residual stream. */
    REEL_TOKENS_X,
    REEL_TOKENS_NORMED,  /* b [n, D] */
    REEL_HEADS_Q,        /* b [g, d] as projected, [l, h C] inside attention */
    REEL_HEADS_K,        /* b, as Q */
    REEL_HEADS_V,        /* b, as Q */
    REEL_HEADS_OUT,      /* b, as Q */
    REEL_HEADS_LSE,      /* [l, h]: log of the sum of exponentials; with a ring only */
    REEL_TOKENS_HIDDEN,  /* b [g, f]; with TeaCache at least [n, D] of 4 bytes */
    REEL_TOKENS_COLUMNS, /* b [n, A * in_channels] */
    REEL_TOKENS_OUT,     /* [n, A * out_channels] */
    REEL_ROW_OF_TOKEN,   /* int32 [n] */
    /* Arrays on their way to or from the device: row of each token, sinusoids, rotation tables, distances. */
    REEL_HOST_WORK,
    REEL_ROPE,        /* rotation tables of the three axes */
    REEL_EXPANDED_E,  /* [n, D]; expanded only */
    REEL_EXPANDED_E0, /* [n, 6, D]; expanded only */
    /* [n, signal_rows, D]: the signal of the previous call, the same for both branches; expanded only. */
    REEL_TEACACHE_PREVIOUS,
    REEL_TEACACHE_RESIDUAL, /* [branches / cfg, n, D] of work.residual_dtype */
    /* b [branches / cfg, layers, 2, S, d]: keys and values of this rank's prompts and heads. */
    REEL_CONTEXT_TEXT,
    REEL_CONTEXT_IMAGE, /* b [layers, 2, image rows, d] */
    /* b [branches / cfg, S, D]: embedded prompts, from which keys and values are made. */
    REEL_CONTEXT_PROMPTS,
    REEL_CONTEXT_WORK,   /* b: to embed one prompt, or the image */
    REEL_CONTEXT_FLOATS, /* float embeddings as read, if b is not 4 */
    REEL_LATENTS_VIDEO,  /* [out_channels, video_frames, pH, pW] */
    REEL_LATENTS_X,      /* [out_channels, chunk_frames, pH, pW] */
    REEL_LATENTS_M0,     /* M0, M1, LAST: the solver's history, as X */
    REEL_LATENTS_M1,
    REEL_LATENTS_LAST,
    REEL_LATENTS_CONDITION, /* [in_channels - out_channels, chunk_frames, pH, pW] */
    REEL_LATENTS_NOISE,     /* as X: noise that is added to prefix frames */
    REEL_LATENTS_INPUT,     /* [in_channels, window_frames, pH, pW] */
    REEL_LATENTS_VELOCITY,  /* [branches, out_channels, window_frames, pH, pW] */
    REEL_EXCHANGE_BY_PART,  /* b [g, d], laid out for the ulysses axis */
    REEL_EXCHANGE_RING,     /* b [2 or 1, 2, l, h C]: keys and values in transfer */
    /* b: tokens to gather, or partial sums to send and to receive; two buffers of each. */
    REEL_EXCHANGE_TENSOR,
    /* double [tensor, max(g, context rows)]: sums of squares of q or k. */
    REEL_EXCHANGE_SQUARES,
    /* double [L, 2]: difference and magnitude of every token's signal; expanded only. */
    REEL_EXCHANGE_DISTANCES,
    REEL_EXCHANGE_OUTPUT,   /* [L, A * out_channels] */
    REEL_EMBEDDING_WEIGHTS, /* the weights that make the table of timestep rows */
    /* [REEL_EMBEDDING_BATCH, frequencies + 2 D]: to make that many of its rows. */
    REEL_EMBEDDING_WORK,
    REEL_BUFFERS
};

extern const struct reel_buffer_table reel_buffers; /* a row for each enum reel_buffer (buffers_wan.c) */

/* The table of timestep rows is made so many rows at a time. */
enum { REEL_EMBEDDING_BATCH = 64 };

/* The bytes of one of the transformer's buffers on one rank, and of all of them; 0 where it has none. No rank
 * has more than rank 0. */
int64_t reel_plan_bytes(const struct reel_plan *plan, int64_t rank, enum reel_buffer buffer);
void reel_plan_table(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_BUFFERS]);

#endif
