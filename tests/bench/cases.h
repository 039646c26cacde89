/* Every operation of ops.h at the size of a model, as the forward pass calls it, in the size's numbers unless its
 * name says otherwise. */
#ifndef REEL_CASES_H
#define REEL_CASES_H

#include "measure.h"

struct cases_size {
    const char *model;
    int64_t width, ffn, heads, channels, text_rows; /* D, -, N, C, S */
    int64_t F, H, W;                                /* tokens of the whole window */
    int64_t tokens;                                 /* of this rank, which is as if one of several */
    enum reel_precision dtype;
};

/* The names are MODEL.TOKENS.KIND.WHAT. */
void cases_gemm(struct measure *measure, const struct cases_size *size);

/* The same with weights of fp8, and in fp32. */
void cases_gemm_others(struct measure *measure, const struct cases_size *size);

/* Attention to all tokens of the window, and to the text. */
void cases_attention(struct measure *measure, const struct cases_size *size);

/* As ring and ulysses cut it, and by our own kernel where a library has another. */
void cases_attention_others(struct measure *measure, const struct cases_size *size);

/* What is bound by memory: norms, heads and patches. */
void cases_passes(struct measure *measure, const struct cases_size *size);

/* Residuals, the expanded embedding, and the sampler's. */
void cases_passes_others(struct measure *measure, const struct cases_size *size);

/* Attention of so many queries to so many keys by so many heads, of new arrays. */
struct reel_attention cases_attention_of(struct measure *measure, const struct cases_size *size,
                                         enum reel_precision dtype, int64_t queries, int64_t keys,
                                         int64_t heads);

/* "14b.8190.gemm.q", and whether it is to be measured. */
int cases_begin(struct measure *measure, const struct cases_size *size, const char *what, char name[80]);

#endif
