/* Latents to tokens and back on the GPU: a thread does the patch of one channel of one token. */
#include "row_cuda.h"

/* Neighbouring threads do neighbouring channels, which lie side by side in `columns`. */
template <enum reel_dtype P> static __global__ void patchify_patches(struct reel_patchify a)
{
    using Number = reel_held<P>;
    for (int64_t e = reel_grid_first(); e < a.tokens * a.channels; e += reel_grid_stride()) {
        int64_t t = e / a.channels, channel = e - t * a.channels;
        struct reel_token_position position = reel_token_position_of(a.first_token + t, a.H, a.W);
        Number *column = static_cast<Number *>(a.columns) + e * a.patch * a.patch;
        const float *pixels = a.latents + reel_pixel_of(position, channel, a.patch, a.F, a.H, a.W);
        for (int64_t ph = 0; ph < a.patch; ph++)
            for (int64_t pw = 0; pw < a.patch; pw++)
                reel_narrow(pixels[ph * a.patch * a.W + pw], column + ph * a.patch + pw);
    }
}

void reel_patchify_cuda(struct reel_stream *stream, const struct reel_patchify *a)
{
    reel_with_dtype(a->dtype, [&](auto dtype) {
        REEL_LAUNCH((patchify_patches<decltype(dtype)::value>), reel_flat_blocks(a->tokens * a->channels),
                    REEL_FLAT_THREADS, 0, reel_cuda_queue(stream), *a);
    });
    reel_cuda_check(stream, cudaGetLastError(), "patchify");
}

/* Neighbouring threads do neighbouring tokens, whose pixels lie side by side in `velocity`. */
static __global__ void unpatchify_patches(struct reel_unpatchify a)
{
    int64_t tokens = a.F * a.H * a.W;
    for (int64_t e = reel_grid_first(); e < tokens * a.channels; e += reel_grid_stride()) {
        int64_t channel = e / tokens, t = e - channel * tokens;
        struct reel_token_position position = reel_token_position_of(t, a.H, a.W);
        float *pixels = a.velocity + reel_pixel_of(position, channel, a.patch, a.F, a.H, a.W);
        const float *token = a.tokens + t * a.patch * a.patch * a.channels + channel;
        for (int64_t ph = 0; ph < a.patch; ph++)
            for (int64_t pw = 0; pw < a.patch; pw++)
                pixels[ph * a.patch * a.W + pw] = token[(ph * a.patch + pw) * a.channels];
    }
}

void reel_unpatchify_cuda(struct reel_stream *stream, const struct reel_unpatchify *a)
{
    REEL_LAUNCH(unpatchify_patches, reel_flat_blocks(a->F * a->H * a->W * a->channels), REEL_FLAT_THREADS, 0,
                reel_cuda_queue(stream), *a);
    reel_cuda_check(stream, cudaGetLastError(), "unpatchify");
}
