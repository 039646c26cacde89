/* Latents to tokens and back on the GPU: a thread does the patch of one channel of one token. */
#include "row_cuda.h"

constexpr int CORNERS = 4;

/* Neighbouring threads do neighbouring channels, which lie side by side in `columns`. */
template <enum reel_dtype P> static __global__ void patchify_patches(struct reel_patchify a)
{
    using Number = reel_held<P>;
    for (int64_t e = reel_grid_first(); e < a.tokens * a.channels; e += reel_grid_stride()) {
        int64_t t = e / a.channels, channel = e - t * a.channels;
        struct reel_token_position position = reel_token_position_of(a.first_token + t, a.H, a.W);
        Number *column = static_cast<Number *>(a.columns) + e * CORNERS;
#pragma unroll
        for (int corner = 0; corner < CORNERS; corner++)
            reel_narrow(a.latents[reel_pixel_of(position, channel, corner, a.F, a.H, a.W)], column + corner);
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
#pragma unroll
        for (int corner = 0; corner < CORNERS; corner++)
            a.velocity[reel_pixel_of(position, channel, corner, a.F, a.H, a.W)] =
                a.tokens[(t * CORNERS + corner) * a.channels + channel];
    }
}

void reel_unpatchify_cuda(struct reel_stream *stream, const struct reel_unpatchify *a)
{
    REEL_LAUNCH(unpatchify_patches, reel_flat_blocks(a->F * a->H * a->W * a->channels), REEL_FLAT_THREADS, 0,
                reel_cuda_queue(stream), *a);
    reel_cuda_check(stream, cudaGetLastError(), "unpatchify");
}
