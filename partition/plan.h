/* Who holds what: a value with the same bytes on every rank.
 *
 * The plan is made from counts alone, without MPI, weights or a device, so that it can be printed for 72
 * ranks on a laptop. Functions of a plan and a rank give what differs between ranks.
 *
 *     struct reel_plan plan;
 *     REEL_TRY(reel_plan_make(&model, &work, &mesh, 8, &plan), "planning");
 *     int64_t bytes = reel_plan_bytes(&plan, 3, REEL_TOKENS_X);     rank 3 of 8: ceil(3510 / 8) * D * 4
 *
 * There are four axes; the one that communicates most is the innermost. For coords and the ways R, U, T of
 * ring, ulysses and tensor,
 *
 *     rank = ((coords.cfg * R + coords.ring) * U + coords.ulysses) * T + coords.tensor
 *
 *     cfg      each half of the ranks computes one branch of guidance
 *     ring     each part holds a segment of the sequence; keys and values are sent around (Liu et al. 2023)
 *     ulysses  inside attention a rank has some heads of all tokens of its segment, outside it has some
 *              tokens with all heads (Jacobs et al. 2023)
 *     tensor   cuts rows of q, k, v, ffn-in and columns of o, ffn-out; between these layers each rank has
 *              only its own tokens (Shoeybi et al. 2019, Korthikanti et al. 2022)
 *
 * Outside attention, tokens are cut over ring x ulysses x tensor: all tokens into segments over ring, each
 * segment into groups over ulysses, each group over tensor. Heads are cut over tensor, then over ulysses.
 * With gathered weights, each of the ring x ulysses ranks keeps one share of every block, and each block
 * is gathered while the block before it is used. Every buffer of a rank is one entry of a table; the arena
 * allocates exactly these.
 *
 * Not collective; all functions are pure. */
#ifndef REEL_PLAN_H
#define REEL_PLAN_H

#include "cut.h"
#include "dtype.h"
#include "slice.h"
#include "status.h"
#include "wan.h"

/* The ways along each axis, whose product is the number of ranks, and whether the weights of blocks are
 * gathered. */
struct reel_mesh {
    int64_t cfg, ring, ulysses, tensor;
    int64_t gathered; /* 1 gathered, 0 resident */
};

/* What a job needs, in counts. Frames are latent frames. */
struct reel_workload {
    int64_t H, W;                 /* token rows and columns of a frame */
    int64_t video_frames;         /* of the whole video */
    int64_t chunk_frames;         /* of the longest chunk, end frames included */
    int64_t window_frames;        /* that enter a forward, at most */
    int64_t causal_block;         /* latent frames of a causal block; 0: all tokens attend to all */
    int64_t branches;             /* 2 with guidance, else 1 */
    int64_t embedding_rows;       /* R: distinct timesteps of the job */
    int64_t scratch_bytes;        /* of the kernels */
    int64_t signal_rows;          /* rows of D in TeaCache's signal: 1 for e, 6 for e0; 0: TeaCache is off */
    enum reel_dtype dtype;        /* of a weight, and of an input or output of a GEMM: F32 or BF16 */
    enum reel_dtype matrix_dtype; /* of the weights of the blocks' linear layers: dtype, or F8_E4M3 */
    enum reel_dtype residual_dtype; /* of TeaCache's residuals: F32 or BF16 */
    int32_t expanded;               /* 1: e and e0 are held for every token, not only for every timestep */
};

/* The position of a rank on each axis. */
struct reel_coords {
    int64_t cfg, ring, ulysses, tensor;
};

struct reel_plan {
    struct reel_model model;
    struct reel_workload work;
    struct reel_mesh mesh;
    int64_t ranks;
};

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

/* Every buffer of a rank. Counts of tokens are those of the rank with the most: n tokens of its own, g
 * tokens of its tensor axis, l tokens of its segment. Other counts are those of the rank itself: d columns
 * of its part of the tensor axis, f columns of the feed-forward, h heads and so h C columns. A comment gives
 * the shape of a buffer in elements. "b [...]" are elements of work.dtype (struct reel_workload); without b
 * they have 4 bytes, unless the comment names another type or size. */
enum reel_buffer {
    REEL_SCRATCH,
    REEL_EMBEDDING_E,    /* [R, D] */
    REEL_EMBEDDING_E0,   /* [R, 6, D] */
    REEL_WEIGHTS,        /* what is held for the whole run: resident slices, or shares */
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
    REEL_TOKENS_COLUMNS, /* b [n, 4 * in_channels] */
    REEL_TOKENS_OUT,     /* [n, 4 * out_channels] */
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
    REEL_LATENTS_VIDEO,  /* [out_channels, video_frames, 2H, 2W] */
    REEL_LATENTS_X,      /* [out_channels, chunk_frames, 2H, 2W] */
    REEL_LATENTS_M0,     /* M0, M1, LAST: the solver's history, as X */
    REEL_LATENTS_M1,
    REEL_LATENTS_LAST,
    REEL_LATENTS_CONDITION, /* [in_channels - out_channels, chunk_frames, 2H, 2W] */
    REEL_LATENTS_NOISE,     /* as X: noise that is added to prefix frames */
    REEL_LATENTS_INPUT,     /* [in_channels, window_frames, 2H, 2W] */
    REEL_LATENTS_VELOCITY,  /* [branches, out_channels, window_frames, 2H, 2W] */
    REEL_EXCHANGE_BY_PART,  /* b [g, d], laid out for the ulysses axis */
    REEL_EXCHANGE_RING,     /* b [2 or 1, 2, l, h C]: keys and values in transfer */
    /* b: tokens to gather, or partial sums to send and to receive; two buffers of each. */
    REEL_EXCHANGE_TENSOR,
    /* double [tensor, max(g, context rows)]: sums of squares of q or k. */
    REEL_EXCHANGE_SQUARES,
    /* double [L, 2]: difference and magnitude of every token's signal; expanded only. */
    REEL_EXCHANGE_DISTANCES,
    REEL_EXCHANGE_OUTPUT, /* [L, 4 * out_channels] */
    /* The bytes that startup needs (reel_plan_embedding_work) beyond the device buffers from REEL_WEIGHTS on.
     * 0, except where the weights of the time embedding are most of a rank's weights: of the 1.3B model cut
     * to one layer, tensor 4 in bf16, a rank holds 41 MB of weights and startup needs 135 MB. */
    REEL_STARTUP,
    REEL_BUFFERS
};

/* Makes the plan of a mesh whose ways are all given (choose.h finds the ways that a job leaves open).
 * REEL_BAD_PLAN when the product of the ways is not `ranks`, when a rank would have no head or no column
 * of the feed-forward, when cfg is larger than the number of branches, or when the expanded embedding
 * would be whole on a rank. Weights gathered over one rank are resident; the plan then says so. */
enum reel_status reel_plan_make(const struct reel_model *model, const struct reel_workload *work,
                                const struct reel_mesh *mesh, int64_t ranks, struct reel_plan *plan);

/* The coordinates of a rank, and the rank at some coordinates. */
struct reel_coords reel_plan_coords(const struct reel_plan *plan, int64_t rank);
int64_t reel_plan_rank(const struct reel_plan *plan, struct reel_coords coords);

/* The branches of guidance that one rank computes, and how many of them pass through a block together.
 * With gathered blocks all of them do, so that each block is gathered once; else the branches run one
 * after the other. */
int64_t reel_plan_branches(const struct reel_plan *plan);
int64_t reel_plan_together(const struct reel_plan *plan);

/* The number of ranks that tokens are cut over, and the part of the rank at some coordinates. */
int64_t reel_plan_parts(const struct reel_plan *plan);
int64_t reel_plan_part(const struct reel_plan *plan, struct reel_coords coords);

/* The tokens of a forward over `frames` latent frames, cut over ring x ulysses x tensor. */
struct reel_cut reel_plan_tokens(const struct reel_plan *plan, int64_t frames);

/* The model's heads, cut over tensor x ulysses. The part of a rank is coords.tensor * (ways of ulysses) +
 * coords.ulysses. */
struct reel_cut reel_plan_heads(const struct reel_plan *plan);

/* Ranges of tokens: of the rank at some coordinates, of all ranks of its tensor axis together, and of the
 * segment of one part of the ring. */
struct reel_range reel_plan_own(const struct reel_plan *plan, const struct reel_cut *tokens,
                                struct reel_coords coords);
struct reel_range reel_plan_group(const struct reel_plan *plan, const struct reel_cut *tokens,
                                  struct reel_coords coords);
struct reel_range reel_plan_segment(const struct reel_plan *plan, const struct reel_cut *tokens,
                                    int64_t ring);

/* Ranges of heads: of the rank at some coordinates, and of its part of the tensor axis. */
struct reel_range reel_plan_own_heads(const struct reel_plan *plan, struct reel_coords coords);
struct reel_range reel_plan_tensor_heads(const struct reel_plan *plan, struct reel_coords coords);

/* How many keys of segment `of`, counted from its first, some query of segment `by` may see: all of them,
 * or with causal blocks those before the end of the block that holds the last token of `by`. */
int64_t reel_plan_visible(const struct reel_plan *plan, const struct reel_cut *tokens, int64_t by,
                          int64_t of);

/* The rows of one piece, when a part of the tensor axis scatters partial sums. The tokens of each part are
 * cut into at most 2 * tensor pieces, so that the pieces that arrive from all parts together are about as
 * large as the tokens of one part. The number of rows is a multiple of REEL_PIECE_ROWS_UNIT, the rows
 * of a GEMM's tile: smaller pieces would waste part of a tile, which costs up to a quarter of a forward. */
enum { REEL_PIECE_ROWS_UNIT = 96 };
int64_t reel_plan_piece_rows(const struct reel_plan *plan, int64_t tokens);

/* The feed-forward's inner width, cut over tensor. */
struct reel_cut reel_plan_inner(const struct reel_plan *plan);

/* The positions of a rank's slices of a network in a phase, and the bytes of each block that it holds: its
 * share with gathered weights, else all. */
struct reel_layout reel_plan_layout(const struct reel_plan *plan, const struct reel_network *network,
                                    int64_t rank, int phase);
struct reel_range reel_plan_share(const struct reel_plan *plan, const struct reel_layout *layout,
                                  int64_t rank);

/* The bytes of one buffer on one rank; 0 where it has none. No rank has more than rank 0. */
int64_t reel_plan_bytes(const struct reel_plan *plan, int64_t rank, enum reel_buffer buffer);

/* The bytes of every buffer on one rank. */
void reel_plan_table(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_BUFFERS]);

/* At startup, the memory from REEL_WEIGHTS on holds the weights that make the table of timestep rows, and
 * behind them the workspace to make it: this function gives the workspace's floats. Later the run's own
 * weights replace both. */
enum { REEL_EMBEDDING_BATCH = 64 };
int64_t reel_plan_embedding_work(const struct reel_plan *plan);

/* Whether a buffer is in host memory on every device: buffers that are read from files, drawn, or written. */
int reel_buffer_on_host(enum reel_buffer buffer);

/* The category that a buffer counts in, and the category's name in the log. With the expanded embedding, the
 * category `embedding` has e and e0 of every token. The table of timestep rows then counts as weights: it
 * stands for the weights of the time embedding, which are not kept, and e and e0 are made from it in every
 * iteration. */
enum reel_memory reel_buffer_memory(const struct reel_plan *plan, enum reel_buffer buffer);
const char *reel_memory_name(enum reel_memory memory);

#endif
