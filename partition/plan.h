/* Who holds what: a value that is the same bytes on every rank.
 *
 * The plan is made from counts alone, without MPI, weights or a device, so that it can be printed for 72
 * ranks on a laptop. What differs per rank is asked of it.
 *
 *     struct reel_plan plan;
 *     REEL_TRY(reel_plan_make(&model, &work, &mesh, 4, &plan), "planning");
 *     int64_t bytes = reel_plan_bytes(&plan, 3, REEL_TOKENS_X);     rank 3 of 4: ceil(3510 / 4) * D * 4
 *
 * Tokens are cut over the ranks between attentions; heads are cut over them inside (Ulysses, Jacobs et al.
 * 2023). Every buffer of a rank is one entry of a table; the arena allocates exactly these. Not collective;
 * all functions are pure. */
#ifndef REEL_PLAN_H
#define REEL_PLAN_H

#include "cut.h"
#include "model.h"
#include "status.h"

/* Ways along each axis; their product is the number of ranks. */
struct reel_mesh {
    int64_t cfg, ring, ulysses, tensor;
};

/* What a job asks for, in counts. Frames are latent frames. */
struct reel_workload {
    int64_t H, W;           /* token rows and columns of a frame */
    int64_t video_frames;   /* of the whole video */
    int64_t chunk_frames;   /* of the longest chunk, end frames included */
    int64_t window_frames;  /* that enter a forward at most */
    int64_t branches;       /* 2 with guidance, else 1 */
    int64_t embedding_rows; /* R: distinct timesteps of the job */
    int64_t weights_bytes;  /* of the whole model */
    int64_t scratch_bytes;  /* of the kernels */
};

/* Where a rank stands on each axis. */
struct reel_seat {
    int64_t cfg, ring, ulysses, tensor;
};

struct reel_plan {
    struct reel_model model;
    struct reel_workload work;
    struct reel_mesh mesh;
    int64_t ranks;
    struct reel_cut heads; /* over the ulysses axis */
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

/* What is sent between ranks (traffic.h). */
enum reel_purpose { REEL_SENT_HEADS, REEL_SENT_TOKENS, REEL_SENT_OUTPUT, REEL_SENT_VELOCITY, REEL_PURPOSES };

/* Everything a rank holds. n: tokens of the fullest rank, L: all tokens, h: heads of this rank. */
enum reel_buffer {
    REEL_WEIGHTS,
    REEL_TOKENS_X,         /* [n, D] the residual stream */
    REEL_TOKENS_NORMED,    /* [n, D] */
    REEL_TOKENS_PROJECTED, /* [n, D] */
    REEL_TOKENS_BY_PART,   /* [n, D] laid out for an exchange; empty on one rank */
    REEL_HEADS_Q,          /* [L, h * C] */
    REEL_HEADS_K,
    REEL_HEADS_V,
    REEL_HEADS_OUT,
    REEL_TOKENS_HIDDEN,  /* [n, ffn] */
    REEL_TOKENS_COLUMNS, /* [n, 4 * in_channels] */
    REEL_TOKENS_OUT,     /* [n, 4 * out_channels] */
    REEL_ROW_OF_TOKEN,   /* int32 [n] */
    REEL_ROPE,           /* rotation tables of the three axes */
    REEL_SCRATCH,
    REEL_EMBEDDING_WORK, /* [REEL_EMBEDDING_BATCH, frequencies + 2 D] */
    REEL_EMBEDDING_E,    /* [R, D] */
    REEL_EMBEDDING_E0,   /* [R, 6, D] */
    REEL_CONTEXT_TEXT,   /* [branches / cfg, layers, 2, S, D]: keys and values of this rank's prompts */
    REEL_CONTEXT_IMAGE,  /* [layers, 2, image rows, D] */
    REEL_CONTEXT_WORK,
    REEL_LATENTS_VIDEO, /* [out_channels, video_frames, 2H, 2W] */
    REEL_LATENTS_X,     /* [out_channels, chunk_frames, 2H, 2W] */
    REEL_LATENTS_M0,    /* the solver's history, as X */
    REEL_LATENTS_M1,
    REEL_LATENTS_LAST,
    REEL_LATENTS_CONDITION, /* [in_channels - out_channels, chunk_frames, 2H, 2W] */
    REEL_LATENTS_NOISE,     /* as X: what is added to prefix frames */
    REEL_LATENTS_INPUT,     /* [in_channels, window_frames, 2H, 2W] */
    REEL_LATENTS_VELOCITY,  /* [branches, out_channels, window_frames, 2H, 2W] */
    REEL_OUTPUT_GATHERED,   /* [L, 4 * out_channels] */
    REEL_BUFFERS
};

enum { REEL_EMBEDDING_BATCH = 64 };

/* Chooses the ways that the mesh leaves to reel (REEL_AUTO_WAYS): cfg 2 where there are two branches and an even
 * number of ranks, for it sends least; ulysses the rest. Checks them: REEL_BAD_PLAN when they do not multiply to ranks,
 * leave a rank without a head, or cut branches that are not there. */
enum { REEL_AUTO_WAYS = -1 };
enum reel_status reel_plan_make(const struct reel_model *model, const struct reel_workload *work,
                                const struct reel_mesh *mesh, int64_t ranks, struct reel_plan *plan);

/* Where a rank stands. */
struct reel_seat reel_plan_seat(const struct reel_plan *plan, int64_t rank);

/* Branches of guidance that one rank computes. */
int64_t reel_plan_branches(const struct reel_plan *plan);

/* The tokens of a forward over frames latent frames, cut over the sequence axes. */
struct reel_cut reel_plan_tokens(const struct reel_plan *plan, int64_t frames);

/* Bytes of one buffer on one rank; 0 where it has none. */
int64_t reel_plan_bytes(const struct reel_plan *plan, int64_t rank, enum reel_buffer buffer);

/* The category that a buffer counts in, and the category's name in the log. */
enum reel_memory reel_buffer_memory(enum reel_buffer buffer);
const char *reel_memory_name(enum reel_memory memory);

/* The name of a purpose in the log. */
const char *reel_purpose_name(enum reel_purpose purpose);

#endif
