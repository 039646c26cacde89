/* Latents to tokens and back, on the host. */
#include "cpu.h"

void reel_patchify_cpu(struct reel_stream *stream, const struct reel_patchify *a)
{
    int64_t w = 2 * a->W, plane = 4 * a->H * a->W;
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t t = 0; t < a->tokens; t++) {
        int64_t token = a->first_token + t;
        int64_t j = token % a->W, i = token / a->W % a->H, f = token / (a->W * a->H);
        float *column = a->columns + t * 4 * a->channels;
        for (int64_t c = 0; c < a->channels; c++) {
            const float *pixel = a->latents + (c * a->F + f) * plane + 2 * i * w + 2 * j;
            column[4 * c] = pixel[0];
            column[4 * c + 1] = pixel[1];
            column[4 * c + 2] = pixel[w];
            column[4 * c + 3] = pixel[w + 1];
        }
    }
}

void reel_unpatchify_cpu(struct reel_stream *stream, const struct reel_unpatchify *a)
{
    int64_t w = 2 * a->W, plane = 4 * a->H * a->W, C = a->channels;
#pragma omp parallel for num_threads((int)stream->threads)
    for (int64_t t = 0; t < a->F * a->H * a->W; t++) {
        int64_t j = t % a->W, i = t / a->W % a->H, f = t / (a->W * a->H);
        const float *token = a->tokens + t * 4 * C;
        for (int64_t c = 0; c < C; c++) {
            float *pixel = a->velocity + (c * a->F + f) * plane + 2 * i * w + 2 * j;
            pixel[0] = token[c];
            pixel[1] = token[C + c];
            pixel[w] = token[2 * C + c];
            pixel[w + 1] = token[3 * C + c];
        }
    }
}
