/* Attention on the GPU: three ways, and which is taken.
 *
 *     plain  every precision and shape: attention_cuda.cu, in float
 *     tiles  bfloat16, 32, 64 or 128 channels: flash_attention_cuda.cu, by tensor cores
 *     cuDNN  bfloat16, long sequences: attention_cudnn.c
 *
 * cuDNN does not say that a query's bits do not depend on how many queries there are. So it is given one
 * head at a time, and only where queries and keys are REEL_LONG_SEQUENCE or more: that is attention of a
 * window's tokens to each other, for which every rank of the axis ulysses has all queries and all keys of
 * its heads. A call is then the same call whatever the number of heads, and its bits depend on queries,
 * keys and channels alone: cfg, ulysses and gathered weights change none. Attention to text and image has
 * few keys and takes tiles, in which a query's bits do not depend on the others: there the cut of tokens
 * changes none either. The axis ring cuts keys, which changes bits whatever computes them.
 *
 * What cuDNN makes is of 16 bits: with add or merge it goes through scratch memory and is rounded there once
 * before it is taken. The other two round once. */
#ifndef REEL_ATTENTION_CUDA_H
#define REEL_ATTENTION_CUDA_H

#include "cuda_backend.h"
#include "elements.h"

enum { REEL_LONG_SEQUENCE = 4096 };

/* Whether the tiles do it; started if so. */
bool reel_flash_attention_cuda(struct reel_stream *stream, const struct reel_attention *a);

/* What is kept of a query's result and what is taken of the new one: for add, merge and neither. `here` is
 * the log-sum-exp of the keys of this call, `old` that of merge's others. */
REEL_ELEMENT struct reel_merged reel_attention_shares(const struct reel_attention *a, double old, double here)
{
    if (a->merge)
        return reel_merge_of(old, here);
    struct reel_merged shares;
    shares.kept = a->add ? 1.0f : 0.0f;
    shares.taken = 1.0f;
    shares.lse = here;
    return shares;
}

#endif
