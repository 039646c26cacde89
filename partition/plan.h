/* Who holds what: a value that is the same bytes on every rank.
 *
 * The plan is made from counts alone, without MPI, weights or a device, so that it can be printed for 72
 * ranks on a laptop. What differs per rank is asked of it.
 *
 *     struct reel_plan plan;
 *     REEL_TRY(reel_plan_make(&model, &work, &mesh, 8, &plan), "planning");
 *     int64_t bytes = reel_plan_bytes(&plan, 3, REEL_TOKENS_X);     rank 3 of 8: ceil(3510 / 8) * D * 4
 *
 * Four axes, the chattiest innermost: rank = ((cfg * ring + ring) * ulysses + ulysses) * tensor + tensor.
 *
 *     cfg      each half of the ranks computes one branch of guidance
 *     ring     a segment of the sequence a rank; keys and values travel (Liu et al. 2023)
 *     ulysses  heads are cut inside attention where tokens are cut outside (Jacobs et al. 2023)
 *     tensor   rows of q, k, v, ffn-in and columns of o, ffn-out; tokens stay cut between (Shoeybi et al. 2019,
 *              Korthikanti et al. 2022)
 *
 * Tokens are cut over ring x ulysses x tensor between attentions: over ring, each segment over ulysses, each group over
 * tensor. Heads are cut over tensor, then over ulysses. With gathered weights each of the ring x ulysses ranks keeps one
 * share of every block and blocks come together one ahead of use. Every buffer of a rank is one entry of a table; the
 * arena allocates exactly these. Not collective; all functions are pure. */
#ifndef REEL_PLAN_H
#define REEL_PLAN_H

#include "cut.h"
#include "model.h"
#include "slice.h"
#include "status.h"

/* Ways along each axis, whose product is the number of ranks, and whether the weights of blocks are gathered. */
struct reel_mesh {
    int64_t cfg, ring, ulysses, tensor;
    int64_t gathered; /* 1 gathered, 0 resident */
};

/* What a job asks for, in counts. Frames are latent frames. */
struct reel_workload {
    int64_t H, W;           /* token rows and columns of a frame */
    int64_t video_frames;   /* of the whole video */
    int64_t chunk_frames;   /* of the longest chunk, end frames included */
    int64_t window_frames;  /* that enter a forward at most */
    int64_t causal_block;   /* latent frames of a causal block; 0: all attend to all */
    int64_t branches;       /* 2 with guidance, else 1 */
    int64_t embedding_rows; /* R: distinct timesteps of the job */
    int64_t number_bytes;   /* of a weight and of what enters or leaves a GEMM: 4 in fp32, 2 in bf16 */
    int64_t fp8;            /* 1: the weights of the blocks' linear layers are F8_E4M3, of one byte */
    int64_t scratch_bytes;  /* of the kernels */
    int64_t expanded;       /* 1: e and e0 are held for every token, not only for every timestep */
    int64_t signal_rows;    /* rows of D in TeaCache's signal: 1 for e, 6 for e0; 0: off */
    int64_t residual_bytes; /* of a number of its residuals */
};

/* Where a rank stands on each axis. */
struct reel_coords {
    int64_t cfg, ring, ulysses, tensor;
};

struct reel_plan {
    struct reel_model model;
    struct reel_workload work;
    struct reel_mesh mesh;
    int64_t ranks;
};

/* The categories of the ledger. */
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

/* Everything a rank holds. Of the fullest rank: n tokens, g tokens of its tensor axis, l tokens of its segment. Of this
 * rank: d columns of its part of the tensor axis, f of the feed-forward, h C columns of its heads. b is number_bytes,
 * 4 where nothing is said. */
enum reel_buffer {
    REEL_SCRATCH,
    REEL_EMBEDDING_E,    /* [R, D] */
    REEL_EMBEDDING_E0,   /* [R, 6, D] */
    REEL_WEIGHTS,        /* what is held all the time: resident slices, or shares */
    REEL_WEIGHTS_BLOCKS, /* [2, a block]: gathered, the block in use and the next */
    REEL_TOKENS_X,       /* [branches that pass through a block together, n, D] the residual stream */
    REEL_TOKENS_NORMED,  /* b [n, D] */
    REEL_HEADS_Q,        /* b [g, d] as projected, [l, h C] inside attention */
    REEL_HEADS_K,        /* b */
    REEL_HEADS_V,        /* b */
    REEL_HEADS_OUT,      /* b */
    REEL_HEADS_LSE,      /* [l, h] log of the sum of exponentials; with a ring only */
    REEL_TOKENS_HIDDEN,  /* b [g, f]; with TeaCache at least [n, D] of 4 */
    REEL_TOKENS_COLUMNS, /* b [n, 4 * in_channels] */
    REEL_TOKENS_OUT,     /* [n, 4 * out_channels] */
    REEL_ROW_OF_TOKEN,   /* int32 [n] */
    REEL_HOST_WORK, /* on its way to or from the device: rows of tokens, sinusoids, rotation tables, distances */
    REEL_ROPE,      /* rotation tables of the three axes */
    REEL_EXPANDED_E,  /* [n, D]; expanded only */
    REEL_EXPANDED_E0, /* [n, 6, D] */
    REEL_TEACACHE_PREVIOUS, /* [n, signal_rows, D]: the signal of the call before; expanded only, one for both branches */
    REEL_TEACACHE_RESIDUAL, /* residual_bytes [branches / cfg, n, D] */
    REEL_CONTEXT_TEXT, /* b [branches / cfg, layers, 2, S, d]: keys and values of this rank's prompts and heads */
    REEL_CONTEXT_IMAGE,   /* b [layers, 2, image rows, d] */
    REEL_CONTEXT_PROMPTS, /* b [branches / cfg, S, D]: embedded, while keys and values are made */
    REEL_CONTEXT_WORK,    /* b */
    REEL_CONTEXT_FLOATS,  /* embeddings as they come, where b is not 4 */
    REEL_LATENTS_VIDEO,   /* [out_channels, video_frames, 2H, 2W] */
    REEL_LATENTS_X,       /* [out_channels, chunk_frames, 2H, 2W] */
    REEL_LATENTS_M0,      /* the solver's history, as X */
    REEL_LATENTS_M1,
    REEL_LATENTS_LAST,
    REEL_LATENTS_CONDITION, /* [in_channels - out_channels, chunk_frames, 2H, 2W] */
    REEL_LATENTS_NOISE,     /* as X: what is added to prefix frames */
    REEL_LATENTS_INPUT,     /* [in_channels, window_frames, 2H, 2W] */
    REEL_LATENTS_VELOCITY,  /* [branches, out_channels, window_frames, 2H, 2W] */
    REEL_EXCHANGE_BY_PART,  /* b [g, d] laid out for the ulysses axis */
    REEL_EXCHANGE_RING,     /* b [2 or 1, 2, l, h C]: keys and values on their way */
    REEL_EXCHANGE_TENSOR,   /* b: tokens to gather, or partial sums to send and to receive, two of each */
    REEL_EXCHANGE_SQUARES,  /* double [tensor, max(g, context rows)]: sums of squares of q or k */
    REEL_EXCHANGE_DISTANCES, /* double [L, 2]: difference and magnitude of every token's signal; expanded only */
    REEL_EXCHANGE_OUTPUT,    /* [L, 4 * out_channels] */
    REEL_STARTUP, /* what the start needs beyond all of this but the first three: nothing but in toys */
    REEL_BUFFERS
};

/* Checks a mesh without open ways: REEL_BAD_PLAN when they do not multiply to ranks, leave a rank without a head, or cut
 * branches that are not there. Gathering over one rank is holding: the plan then says resident. choose.h finds the ways
 * that a job leaves open. */
enum reel_status reel_plan_make(const struct reel_model *model, const struct reel_workload *work,
                                const struct reel_mesh *mesh, int64_t ranks, struct reel_plan *plan);

/* Where a rank stands, and who stands there. */
struct reel_coords reel_plan_coords(const struct reel_plan *plan, int64_t rank);
int64_t reel_plan_rank(const struct reel_plan *plan, struct reel_coords coords);

/* Branches of guidance that one rank computes, and that pass through a block together: all of them where blocks are
 * gathered, so that each is gathered once; else one after the other. */
int64_t reel_plan_branches(const struct reel_plan *plan);
int64_t reel_plan_together(const struct reel_plan *plan);

/* The ranks that tokens are cut over, and the place of a seat among them. */
int64_t reel_plan_parts(const struct reel_plan *plan);
int64_t reel_plan_part(const struct reel_plan *plan, struct reel_coords coords);

/* The tokens of a forward over frames latent frames, cut over ring x ulysses x tensor. */
struct reel_cut reel_plan_tokens(const struct reel_plan *plan, int64_t frames);

/* The heads of the model, cut over tensor x ulysses: part tensor * ulysses + ulysses. */
struct reel_cut reel_plan_heads(const struct reel_plan *plan);

/* The tokens of a seat, of its tensor axis together, and of the segment of a part of the ring. */
struct reel_range reel_plan_own(const struct reel_plan *plan, const struct reel_cut *tokens,
                                struct reel_coords coords);
struct reel_range reel_plan_group(const struct reel_plan *plan, const struct reel_cut *tokens,
                                  struct reel_coords coords);
struct reel_range reel_plan_segment(const struct reel_plan *plan, const struct reel_cut *tokens,
                                    int64_t ring);

/* The heads of a seat, and of its part of the tensor axis. */
struct reel_range reel_plan_own_heads(const struct reel_plan *plan, struct reel_coords coords);
struct reel_range reel_plan_tensor_heads(const struct reel_plan *plan, struct reel_coords coords);

/* The keys of segment `of` that some query of segment `by` may see, counted from its first: all of them, or with causal
 * blocks those before the end of the block of by's last token. */
int64_t reel_plan_visible(const struct reel_plan *plan, const struct reel_cut *tokens, int64_t by,
                          int64_t of);

/* Rows that a part of the tensor axis sends in one piece when partial sums are scattered: each part's tokens are cut into
 * at most 2 * tensor pieces, so that what arrives from all parts for one piece is about as large as the tokens of one. A
 * multiple of the rows of a GEMM's tile, which smaller pieces would fill up in vain: by a quarter of a forward at worst. */
enum { REEL_LOAD_UNIT_ALIGNMENT = 96 };
int64_t reel_plan_piece_rows(const struct reel_plan *plan, int64_t tokens);

/* Where the slices of a rank lie, and with gathered weights its share of a block, in bytes. */
struct reel_layout reel_plan_layout(const struct reel_plan *plan, int64_t rank);
struct reel_range reel_plan_share(const struct reel_plan *plan, const struct reel_layout *layout,
                                  int64_t rank);

/* Bytes of one buffer on one rank; 0 where it has none. No rank has more than rank 0. */
int64_t reel_plan_bytes(const struct reel_plan *plan, int64_t rank, enum reel_buffer buffer);

/* Bytes of every buffer on one rank: as above, in one go. */
void reel_plan_table(const struct reel_plan *plan, int64_t rank, int64_t bytes[REEL_BUFFERS]);

/* At the start, from REEL_WEIGHTS on, lie the weights that make the table of timestep rows, and behind them the room to make
 * it, so many numbers; the run's own weights take their place. */
enum { REEL_EMBEDDING_BATCH = 64 };
int64_t reel_plan_embedding_work(const struct reel_plan *plan);

/* Whether a buffer lies in the memory of the host whatever the device: what is read from files, drawn, or written. */
int reel_buffer_on_host(enum reel_buffer buffer);

/* The category that a buffer counts in, and the category's name in the log. Where the embedding is expanded, the table of
 * timestep rows that it is expanded from stands for the weights that made it, and counts with them. */
enum reel_memory reel_buffer_memory(const struct reel_plan *plan, enum reel_buffer buffer);
const char *reel_memory_name(enum reel_memory memory);

#endif
