/* Every operation of ops.h at the size of a model, with the arguments of a forward pass, in the size's dtype
 * unless the name says otherwise. */
#ifndef REEL_CASES_H
#define REEL_CASES_H

#include "measure.h"

struct cases_size {
    const char *model;
    int64_t width, ffn, heads, channels, text_rows; /* D, -, N, C, S */
    int64_t F, H, W;                                /* tokens of the whole window */
    int64_t tokens;                                 /* tokens of this rank, as if it were one of several */
    enum reel_dtype dtype;
};

/* The matrix products. All names of operations are MODEL.TOKENS.KIND.WHAT. */
void cases_gemm(struct measure *measure, const struct cases_size *size);

/* The matrix products with fp8 weights, and in fp32. */
void cases_gemm_others(struct measure *measure, const struct cases_size *size);

/* Attention to all tokens of the window, and to the text. */
void cases_attention(struct measure *measure, const struct cases_size *size);

/* Attention as ring and ulysses cut it, and by our own kernel where a library would compute it. */
void cases_attention_others(struct measure *measure, const struct cases_size *size);

/* Operations that are bound by memory: norms, heads and patches. */
void cases_passes(struct measure *measure, const struct cases_size *size);

/* Further ones: residuals, the expanded embedding, and the sampler's. */
void cases_passes_others(struct measure *measure, const struct cases_size *size);

/* Attention of this many queries to this many keys by this many heads, on new arrays. */
struct reel_attention cases_attention_of(struct measure *measure, const struct cases_size *size,
                                         enum reel_dtype dtype, int64_t queries, int64_t keys, int64_t heads);

/* Writes the full name, such as "14b.8190.gemm.q"; returns whether it is to be measured. */
int cases_begin(struct measure *measure, const struct cases_size *size, const char *what, char name[80]);

#endif
