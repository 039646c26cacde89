/* Latents to tokens and back, on the host. */
#include "cpu.h"
#include "elements.h"

void reel_patchify_cpu(struct reel_stream *stream, const struct reel_patchify *a)
{
    int64_t patch = a->patch, line = patch * a->W, width = patch * patch * a->channels;
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t t = 0; t < a->tokens; t++) {
        struct reel_token_position position = reel_token_position_of(a->first_token + t, a->H, a->W);
        void *column = reel_at(a->columns, t * width, a->dtype);
        for (int64_t c = 0; c < a->channels; c++) {
            const float *pixels = a->latents + reel_pixel_of(position, c, patch, a->F, a->H, a->W);
            for (int64_t ph = 0; ph < patch; ph++)
                for (int64_t pw = 0; pw < patch; pw++)
                    reel_set_number(column, (c * patch + ph) * patch + pw, a->dtype, pixels[ph * line + pw]);
        }
    }
}

void reel_unpatchify_cpu(struct reel_stream *stream, const struct reel_unpatchify *a)
{
    int64_t C = a->channels, patch = a->patch, line = patch * a->W;
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t t = 0; t < a->F * a->H * a->W; t++) {
        struct reel_token_position position = reel_token_position_of(t, a->H, a->W);
        const float *token = a->tokens + t * patch * patch * C;
        for (int64_t c = 0; c < C; c++) {
            float *pixels = a->velocity + reel_pixel_of(position, c, patch, a->F, a->H, a->W);
            for (int64_t ph = 0; ph < patch; ph++)
                for (int64_t pw = 0; pw < patch; pw++)
                    pixels[ph * line + pw] = token[(ph * patch + pw) * C + c];
        }
    }
}
