/* The transformer's sizes, as in config.json; the list of tensors follows from them (wan.h).
 *
 * Wan2.1 and SkyReels-V2 share one architecture. The whole project uses the same letters: F latent frames,
 * H W token rows and columns, L = F*H*W tokens, D width, N heads, C channels of a head, S text tokens, R
 * embedding rows, P parts.
 *
 *     struct reel_model model;
 *     reel_model_preset("skyreels-v2-df-14b", &model);   width 5120, heads 40, layers 40
 *
 * Not collective; all functions are pure. */
#ifndef REEL_MODEL_H
#define REEL_MODEL_H

#include <stdint.h>

struct reel_model {
    int64_t width;          /* D */
    int64_t ffn;            /* inner width of the feed-forward */
    int64_t heads;          /* N, divides D; C = D / N is even */
    int64_t layers;         /* blocks */
    int64_t in_channels;    /* 16; 36 for i2v: 16 latent, 4 mask, 16 condition */
    int64_t out_channels;   /* channels of a latent, 16 */
    int64_t patch;          /* rows and columns of latents in a token, 2 */
    int64_t stride;         /* rows and columns of pixels in a row and column of latents, 8 */
    int64_t text_rows;      /* S, 512 */
    int64_t text_width;     /* 4096 */
    int64_t frequencies;    /* width of the timestep sinusoid, 256 */
    int64_t image_rows;     /* CLIP rows: 257 for i2v, 514 with positions (FLF2V), 0 for t2v */
    int64_t image_width;    /* 1280; 0 for t2v */
    int64_t rope_positions; /* positions per axis, 1024 */
    int64_t has_fps;        /* 1 when fps enters e0 (inject_sample_info) */
    double epsilon;         /* of every norm but the image branch's, 1e-6 */
};

/* Channels of a head, C. */
int64_t reel_model_head_channels(const struct reel_model *model);

/* Latents of one channel in a token: patch * patch. */
int64_t reel_model_patch_latents(const struct reel_model *model);

/* Fills model for one of skyreels-v2-df-1.3b, skyreels-v2-df-14b, wan2.1-t2v-1.3b, wan2.1-t2v-14b, tiny.
 * Returns 1, or 0 when there is no such preset. */
int reel_model_preset(const char *name, struct reel_model *model);

/* The names of the presets, separated by ", ". */
const char *reel_model_presets(void);

/* Writes the names of the presets that equal this model, separated by ", "; an empty string when there is
 * none. The string is truncated to `bytes`. */
void reel_model_presets_equal(const struct reel_model *model, char *names, int64_t bytes);

#endif
