/* Self-attention over a sequence that no rank has whole.
 *
 * Ulysses (Jacobs et al. 2023): one exchange each way turns the tokens of this rank's group with all heads of its part of
 * the tensor axis into the tokens of its segment with this rank's heads. Ring (Liu et al. 2023): keys and values of the
 * other segments come by while attention runs on what is here, each straight from its owner, and what causal blocks hide
 * from a segment is not sent to it; results over several segments are merged by their log-sum-exp.
 *
 * Names as in plan.h: g tokens of the group with d columns, l tokens of the segment with h heads of C channels. */
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
    struct reel_async_transfer transfer,
        heads_transfer; /* of the ring's keys and values; of what turns into heads */
    int64_t first_head[REEL_PARTS_MAX +
                       1]; /* over the ulysses axis, of the heads of the part of the tensor axis */
    /* of the forward that runs */
    struct reel_cut tokens;
    struct reel_range own, group, segment;
    /* of the keys and values on their way */
    int64_t step;
    char *coming;
    void *turning; /* the HEADS buffer that turns into heads */
};

/* Not collective. What it is given must outlive it. */
void reel_sequence_parallel_open(struct reel_sequence_parallel *sequence, const struct reel_plan *plan,
                                 const struct reel_arena *arena, struct reel_comm *comm,
                                 struct reel_stream *stream);
void reel_sequence_parallel_close(struct reel_sequence_parallel *sequence);

/* Not collective. A forward over that many latent frames begins. */
void reel_sequence_parallel_frames(struct reel_sequence_parallel *sequence, int64_t frames);

/* Collective over the ulysses axis. x [g, d], one of the HEADS buffers, as projected: normed unless norm is NULL (with
 * the sums of squares of every part of the tensor axis unless squares is NULL), rotated unless rope is NULL; becomes
 * [l, h C] in the same buffer. The exchange may run beside what the caller computes next: x is the sequence's until
 * the next call of this or of reel_sequence_parallel_attend. */
void reel_sequence_parallel_to_heads(struct reel_sequence_parallel *sequence, void *x, const void *norm,
                                     const double *squares, const struct reel_rope *rope);

/* Collective over the ring axis. HEADS_Q, K, V [l, h C] -> HEADS_OUT. */
void reel_sequence_parallel_attend(struct reel_sequence_parallel *sequence);

/* Collective over the ulysses axis. HEADS_OUT [l, h C] -> [g, d], where it returns. */
const void *reel_sequence_parallel_to_tokens(struct reel_sequence_parallel *sequence);

#endif
