/* Attention on the GPU: three implementations, and when each is used.
 *
 *     plain  every dtype and shape: attention_cuda.cu, in float
 *     tiles  bfloat16; 32, 64 or 128 channels: flash_attention_cuda.cu, flash attention on tensor cores
 *     cuDNN  bfloat16, long sequences: attention_cudnn.c
 *
 * cuDNN does not promise that a query's bits are independent of the number of queries. So each call gives it
 * one head, and only where queries and keys both number REEL_LONG_SEQUENCE or more. That is self-attention
 * over a window's tokens, for which every rank of the ulysses axis holds all queries and all keys of its
 * heads. The call of a head is then the same whatever the number of heads, and its bits depend on queries,
 * keys and channels alone: cfg, ulysses and gathered weights change no bit. Cross-attention to text and image
 * has few keys and uses tiles, where a query's bits do not depend on the other queries: cutting the tokens
 * changes no bit there either. The ring axis cuts the keys, which changes bits in every implementation.
 *
 * cuDNN writes 16-bit results. With add or merge it writes them to scratch memory, rounded once; adding or
 * merging them into the output then rounds a second time. The other two implementations round once. */
#ifndef REEL_ATTENTION_CUDA_H
#define REEL_ATTENTION_CUDA_H

#include "cuda_backend.h"
#include "elements.h"

enum { REEL_LONG_SEQUENCE = 4096 };

/* Starts attention by tiles and returns true where tiles support its dtype, channels, scale and alignment;
 * otherwise starts nothing and returns false. */
bool reel_flash_attention_cuda(struct reel_stream *stream, const struct reel_attention *a);

/* How much of a query's old output is kept and how much of its new result is taken: for add, for merge and
 * for neither. `here` is the log-sum-exp over this call's keys. `old`, used by merge alone, is the one over
 * the keys that the old output covers. */
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
