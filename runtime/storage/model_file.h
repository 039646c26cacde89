/* The files of a model: what model.path means.
 *
 *     DIR                 config.json beside one *.safetensors, or several with or without an index; or a
 *                         folder of a diffusers pipeline, whose transformer/ holds those
 *     FILE.safetensors    with NAME.config.json, or else config.json, beside it; without either, the shapes
 *                         say what the model is, as long as its heads have 128 channels
 *     synthetic:PRESET    no files: seeded random weights (synthetic.h)
 *
 * Names are native or those of diffusers, with or without the prefix "model." or "model.diffusion_model.".
 * Weights may be fp8, with scales or without (model_scale.h).
 * Opening checks the complete list of tensors; after it, reads fail only when the files change or hold
 * numbers that are not finite.
 *
 *     struct reel_model_files files;
 *     REEL_PASS(reel_model_open("models/SkyReels-V2-DF-1.3B-540P", &files));     files.model.width is 1536
 *     REEL_PASS(reel_model_read(&files, REEL_SELF_Q_WEIGHT, 7, 0, 1536, row));   its first row
 *     reel_model_close(&files); */
#ifndef REEL_MODEL_FILE_H
#define REEL_MODEL_FILE_H

#include "model.h"
#include "model_index.h"
#include "status.h"

enum { REEL_CONFIG_PATH_BYTES = 4096 };

struct reel_model_files {
    struct reel_model model;
    int synthetic; /* no files stand behind it */
    struct reel_safetensors **files;
    int64_t count;
    struct reel_model_index index;
    char config[REEL_CONFIG_PATH_BYTES]; /* the config that belongs to it; empty when there is none */
    float *
        scales; /* [layers, REEL_TENSORS] of fp8 weights that are read without them; NULL: all are read with theirs */
};

/* Not collective. Opens and checks the model at path. *files is the caller's, for reel_model_close; after an
 * error there is nothing to close. REEL_BAD_JOB when there is no preset of that name, REEL_BAD_INPUT for
 * everything that is wrong with files. */
enum reel_status reel_model_open(const char *path, struct reel_model_files *files);

/* Not collective. The sizes of the model at path alone: from its files where the weights are there, else from
 * config.json and the published values, so that a plan needs no weights. Errors as reel_model_open. */
enum reel_status reel_model_sizes(const char *path, struct reel_model *model);

/* Not collective. The steps of reel_model_open, for looking at files that may be no complete model. find
 * opens the files and lists their tensors; describe says from config or shapes which model they claim to be;
 * check compares the two. Errors as there; only after find failed there is nothing to close. */
enum reel_status reel_model_find(const char *path, struct reel_model_files *files);
enum reel_status reel_model_describe(const char *path, struct reel_model_files *files);
enum reel_status reel_model_check_tensors(const char *path, struct reel_model_files *files);

/* Not collective. Closes the files; a zeroed struct is fine. */
void reel_model_close(struct reel_model_files *files);

/* Not collective. Reads count elements, row-major from element first on, of a tensor that the model has into
 * out [count]; layer counts for block tensors only. A number that is not finite is REEL_BAD_INPUT, with file,
 * tensor and index. */
enum reel_status reel_model_read(const struct reel_model_files *files, enum reel_tensor tensor, int64_t layer,
                                 int64_t first, int64_t count, float *out);

/* Not collective. From now on the weights of the blocks' linear layers are read as the F8_E4M3 numbers that are stored, and
 * files->scales is what to multiply them by. Random weights are rounded to such numbers. REEL_BAD_INPUT names the first that
 * is of another type, or has a scale for each row. */
enum reel_status reel_model_keep_fp8(struct reel_model_files *files);

/* Not collective. The bytes of one element of a tensor that the model has, where it is stored; of random weights those of
 * a float. Scales of fp8 weights are not counted. */
int64_t reel_model_stored_bytes(const struct reel_model_files *files, enum reel_tensor tensor, int64_t layer);

/* Not collective. The position of the first number that is not finite; count when all are. */
int64_t reel_first_not_finite(const float *values, int64_t count);

#endif
