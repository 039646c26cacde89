/* Latents to tokens and back, on the host. */
#include "cpu.h"
#include "elements.h"

void reel_patchify_cpu(struct reel_stream *stream, const struct reel_patchify *a)
{
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t t = 0; t < a->tokens; t++) {
        struct reel_token_position position = reel_token_position_of(a->first_token + t, a->H, a->W);
        void *column = reel_at(a->columns, t * 4 * a->channels, a->dtype);
        for (int64_t c = 0; c < a->channels; c++)
            for (int64_t corner = 0; corner < 4; corner++) {
                float pixel = a->latents[reel_pixel_of(position, c, corner, a->F, a->H, a->W)];
                reel_set_number(column, 4 * c + corner, a->dtype, pixel);
            }
    }
}

void reel_unpatchify_cpu(struct reel_stream *stream, const struct reel_unpatchify *a)
{
    int64_t C = a->channels;
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t t = 0; t < a->F * a->H * a->W; t++) {
        struct reel_token_position position = reel_token_position_of(t, a->H, a->W);
        const float *token = a->tokens + t * 4 * C;
        for (int64_t c = 0; c < C; c++)
            for (int64_t corner = 0; corner < 4; corner++)
                a->velocity[reel_pixel_of(position, c, corner, a->F, a->H, a->W)] = token[corner * C + c];
    }
}
