/* Who holds what: a value with the same bytes on every rank.
 *
 * The plan is made from counts alone, without MPI, weights or a device, so that it can be printed for 72
 * ranks on a laptop. Functions of a plan and a rank give what differs between ranks.
 *
 *     struct reel_plan plan;
 *     REEL_TRY(reel_plan_make(&model, &work, &mesh, 8, &plan), "planning");
 *     struct reel_coords coords = reel_plan_coords(&plan, 3);                   of rank 3 of 8
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
 * is gathered while the block before it is used. The bytes that a rank holds follow from its plan: see
 * buffers.h.
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

#endif
