/* The transformer's sizes, as in config.json, and the list of tensors that follows from them.
 *
 * Wan2.1 and SkyReels-V2 share one architecture. The whole project uses the same letters: F latent frames,
 * H W token rows and columns, L = F*H*W tokens, D width, N heads, C channels of a head, S text tokens, R
 * embedding rows, P parts.
 *
 *     struct reel_model model;
 *     reel_model_preset("skyreels-v2-df-14b", &model);   width 5120, heads 40, layers 40, 1095 tensors
 *
 * The weights of linear layers are stored [out, in]: y = W x + b. Not collective; all functions are pure. */
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

/* Fills model for one of skyreels-v2-df-1.3b, skyreels-v2-df-14b, wan2.1-t2v-1.3b, wan2.1-t2v-14b, tiny.
 * Returns 1, or 0 when there is no such preset. */
int reel_model_preset(const char *name, struct reel_model *model);

/* The names of the presets, separated by ", ". */
const char *reel_model_presets(void);

/* Writes the names of the presets that equal this model, separated by ", "; an empty string when there is
 * none. The string is truncated to `bytes`. */
void reel_model_presets_equal(const struct reel_model *model, char *names, int64_t bytes);

/* Every tensor of the model: first the tensors that exist once, then those of a block. The bias of a
 * linear layer follows its weight. */
enum reel_tensor {
    REEL_PATCH_WEIGHT,
    REEL_PATCH_BIAS,
    REEL_TEXT_IN_WEIGHT,
    REEL_TEXT_IN_BIAS,
    REEL_TEXT_OUT_WEIGHT,
    REEL_TEXT_OUT_BIAS,
    REEL_TIME_IN_WEIGHT,
    REEL_TIME_IN_BIAS,
    REEL_TIME_OUT_WEIGHT,
    REEL_TIME_OUT_BIAS,
    REEL_TIME_PROJECTION_WEIGHT,
    REEL_TIME_PROJECTION_BIAS,
    REEL_FPS_ROWS,
    REEL_FPS_IN_WEIGHT,
    REEL_FPS_IN_BIAS,
    REEL_FPS_OUT_WEIGHT,
    REEL_FPS_OUT_BIAS,
    REEL_IMAGE_POSITIONS,
    REEL_IMAGE_NORM_IN_WEIGHT,
    REEL_IMAGE_NORM_IN_BIAS,
    REEL_IMAGE_IN_WEIGHT,
    REEL_IMAGE_IN_BIAS,
    REEL_IMAGE_OUT_WEIGHT,
    REEL_IMAGE_OUT_BIAS,
    REEL_IMAGE_NORM_OUT_WEIGHT,
    REEL_IMAGE_NORM_OUT_BIAS,
    REEL_HEAD_MODULATION,
    REEL_HEAD_WEIGHT,
    REEL_HEAD_BIAS,
    REEL_GLOBAL_TENSORS,

    REEL_MODULATION = REEL_GLOBAL_TENSORS,
    REEL_SELF_Q_WEIGHT,
    REEL_SELF_Q_BIAS,
    REEL_SELF_K_WEIGHT,
    REEL_SELF_K_BIAS,
    REEL_SELF_V_WEIGHT,
    REEL_SELF_V_BIAS,
    REEL_SELF_O_WEIGHT,
    REEL_SELF_O_BIAS,
    REEL_SELF_NORM_Q,
    REEL_SELF_NORM_K,
    REEL_CROSS_Q_WEIGHT,
    REEL_CROSS_Q_BIAS,
    REEL_CROSS_O_WEIGHT,
    REEL_CROSS_O_BIAS,
    REEL_CROSS_NORM_Q,
    /* From here to REEL_CROSS_NORM_K_IMAGE: the tensors that make keys and values of a context. */
    REEL_CROSS_K_WEIGHT,
    REEL_CROSS_K_BIAS,
    REEL_CROSS_V_WEIGHT,
    REEL_CROSS_V_BIAS,
    REEL_CROSS_NORM_K,
    REEL_CROSS_K_IMAGE_WEIGHT,
    REEL_CROSS_K_IMAGE_BIAS,
    REEL_CROSS_V_IMAGE_WEIGHT,
    REEL_CROSS_V_IMAGE_BIAS,
    REEL_CROSS_NORM_K_IMAGE,
    /* The affine norm before cross attention: norm3, in diffusers norm2. */
    REEL_CROSS_NORM_WEIGHT,
    REEL_CROSS_NORM_BIAS,
    REEL_FFN_IN_WEIGHT,
    REEL_FFN_IN_BIAS,
    REEL_FFN_OUT_WEIGHT,
    REEL_FFN_OUT_BIAS,
    REEL_TENSORS,
    REEL_BLOCK_TENSORS = REEL_TENSORS - REEL_GLOBAL_TENSORS
};

enum { REEL_DIMS_MAX = 5, REEL_TENSOR_NAME_BYTES = 128 };

enum reel_naming { REEL_NAMING_NATIVE, REEL_NAMING_DIFFUSERS };

/* Whether the model has this tensor. The fps and image tensors are optional. */
int reel_tensor_exists(const struct reel_model *model, enum reel_tensor tensor);

/* Writes the shape and returns the number of dimensions. */
int reel_tensor_shape(const struct reel_model *model, enum reel_tensor tensor, int64_t shape[REEL_DIMS_MAX]);

/* The number of elements; 0 when the model does not have the tensor. */
int64_t reel_tensor_elements(const struct reel_model *model, enum reel_tensor tensor);

/* Writes the tensor's name in a file, without prefix. layer is ignored for tensors outside the blocks. */
void reel_tensor_name(enum reel_naming naming, enum reel_tensor tensor, int64_t layer,
                      char name[REEL_TENSOR_NAME_BYTES]);

/* The number of tensors, and of parameters, of the whole model. */
int64_t reel_model_tensors(const struct reel_model *model);
int64_t reel_model_parameters(const struct reel_model *model);

#endif
