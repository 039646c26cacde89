/* Self-attention over a sequence that no rank holds whole.
 *
 * Ulysses (Jacobs et al. 2023): before attention, an alltoall exchanges tokens for heads. A rank has the
 * tokens of its group with all heads of its part of the tensor axis; afterwards it has the tokens of its
 * whole segment with its own heads. A second alltoall after attention restores the first layout.
 *
 * Ring (Liu et al. 2023): keys and values of the other segments arrive one segment a step, each straight from
 * its owner, while attention runs on the segment that is here. Keys that causal blocks hide from a segment
 * are not sent to it. Results over several segments are merged by their log-sum-exp.
 *
 * Names as in plan.h: g tokens of the group with d columns, l tokens of the segment with h heads of C
 * channels. */
#ifndef REEL_SEQUENCE_PARALLEL_H
#define REEL_SEQUENCE_PARALLEL_H

#include "arena.h"
#include "comm.h"
#include "async_transfer.h"

struct reel_sequence_parallel {
    const struct reel_plan *plan;
    const struct reel_arena *arena;
    struct reel_comm *comm;
    struct reel_stream *stream;
    /* Of the ring's keys and values; of the alltoall before attention. */
    struct reel_async_transfer transfer, heads_transfer;
    /* The cut over the ulysses axis of the heads of this rank's part of the tensor axis. */
    int64_t first_head[REEL_PARTS_MAX + 1];
    /* of the current forward */
    struct reel_cut tokens;
    struct reel_range own, group, segment;
    /* of the keys and values that are being received */
    int64_t step;
    char *coming;
    void *turning; /* the HEADS buffer of the alltoall before attention */
};

/* Not collective. All arguments must outlive *sequence. A failure goes to the stream. */
void reel_sequence_parallel_open(struct reel_sequence_parallel *sequence, const struct reel_plan *plan,
                                 const struct reel_arena *arena, struct reel_comm *comm,
                                 struct reel_stream *stream);
void reel_sequence_parallel_close(struct reel_sequence_parallel *sequence);

/* Not collective. Begins a forward over `frames` latent frames. */
void reel_sequence_parallel_frames(struct reel_sequence_parallel *sequence, int64_t frames);

/* Collective over the ulysses axis. Turns x [g, d], the output of a projection in one of the HEADS buffers,
 * into [l, h C] in the same buffer. First it applies the RMS norm unless norm is NULL, and RoPE unless rope
 * is NULL. With a norm, squares is what reel_tensor_parallel_squares returns for x. The alltoall may run
 * while the caller computes: the caller must not touch x before the next call of this function or of
 * reel_sequence_parallel_attend. */
void reel_sequence_parallel_to_heads(struct reel_sequence_parallel *sequence, void *x, const void *norm,
                                     const double *squares, const struct reel_rope *rope);

/* Collective over the ring axis. Attention of HEADS_Q to HEADS_K and HEADS_V, all [l, h C], into HEADS_OUT
 * [l, h C]. */
void reel_sequence_parallel_attend(struct reel_sequence_parallel *sequence);

/* Collective over the ulysses axis. Turns HEADS_OUT [l, h C] into [g, d], and returns a pointer to the
 * result. */
const void *reel_sequence_parallel_to_tokens(struct reel_sequence_parallel *sequence);

#endif
