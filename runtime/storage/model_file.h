/* The files of a model: what model.path means.
 *
 *     DIR                 a folder with config.json and one or more *.safetensors, with or without an index;
 *                         or a folder of a diffusers pipeline, whose transformer/ holds these files
 *     NAME.safetensors    with NAME.config.json, or else config.json, beside it; without either, the model is
 *                         inferred from the shapes of the tensors, which needs heads of 128 channels
 *     synthetic:PRESET    no files: seeded random weights (synthetic.h)
 *
 * Tensors have native or diffusers names, with or without the prefix "model." or "model.diffusion_model.".
 * Weights may be fp8, with or without scales (model_scale.h). Opening checks the complete list of tensors.
 * After that, reads fail only when the files change, cannot be read or hold values that are not finite.
 *
 *     struct reel_model_files files;
 *     REEL_PASS(reel_model_open("models/SkyReels-V2-DF-1.3B-540P", &files));     files.model.width is 1536
 *     REEL_PASS(reel_model_read(&files, REEL_SELF_Q_WEIGHT, 7, 0, 1536, row));   its first row
 *     reel_model_close(&files); */
#ifndef REEL_MODEL_FILE_H
#define REEL_MODEL_FILE_H

#include "model.h"
#include "model_index.h"
#include "network.h"
#include "status.h"

enum { REEL_CONFIG_PATH_BYTES = 4096 };

struct reel_model_files {
    struct reel_model model;
    struct reel_network network; /* the model's; until the model is described, only its names are valid */
    int synthetic;               /* 1: random weights, no files */
    struct reel_safetensors **files;
    int64_t count;
    struct reel_model_index index;
    char config[REEL_CONFIG_PATH_BYTES]; /* the path of its config.json; empty when there is none */
    /* [layers, tensors of the network], of fp8 weights that reel_model_read does not scale
     * (reel_model_keep_fp8); NULL: it scales all */
    float *scales;
};

/* Not collective. Opens and checks the model at path. The caller closes *files with reel_model_close; after
 * an error there is nothing to close. REEL_BAD_JOB when there is no preset of that name, REEL_BAD_INPUT for
 * any error of the files. */
enum reel_status reel_model_open(const char *path, struct reel_model_files *files);

/* Not collective. Only the sizes of the model at path: from its files where the folder holds weights, else
 * from config.json and the published values, so that a plan needs no weights. Errors as reel_model_open. */
enum reel_status reel_model_sizes(const char *path, struct reel_model *model);

/* Not collective. The three steps of reel_model_open, for inspecting files that may not be a complete model.
 * find opens the files and lists their tensors; describe sets files->model from the config or the shapes;
 * check_tensors compares the tensors with files->model. Errors as reel_model_open. After find has failed
 * there is nothing to close; after the others the caller still closes. */
enum reel_status reel_model_find(const char *path, struct reel_model_files *files);
enum reel_status reel_model_describe(const char *path, struct reel_model_files *files);
enum reel_status reel_model_check_tensors(const char *path, struct reel_model_files *files);

/* Not collective. Opens the files of any network at path (a file, or a folder as above), and checks that they
 * hold exactly its tensors; files->model stays zeros. path NULL: seeded random weights. The caller closes
 * *files with reel_model_close; after an error there is nothing to close. REEL_BAD_INPUT. */
enum reel_status reel_model_open_network(const char *path, const struct reel_network *network,
                                         struct reel_model_files *files);

/* Not collective. Closes the files; a zeroed struct is allowed. */
void reel_model_close(struct reel_model_files *files);

/* Not collective. Reads the elements [first, first + count), in row-major order, of a tensor that the model
 * has into out [count]. layer is used for tensors of blocks only. A value that is not finite is
 * REEL_BAD_INPUT, which names file, tensor and index. */
enum reel_status reel_model_read(const struct reel_model_files *files, int tensor, int64_t layer,
                                 int64_t first, int64_t count, float *out);

/* Not collective. After this call reel_model_read gives the weights of the blocks' linear layers as the
 * F8_E4M3 values that the files store, without their scales, and files->scales holds the scales. Random
 * weights are rounded to F8_E4M3. REEL_BAD_INPUT names the first weight that has another dtype, or a scale
 * for each row; REEL_NO_MEMORY. */
enum reel_status reel_model_keep_fp8(struct reel_model_files *files);

/* Not collective. The bytes of one stored element of a tensor that the model has; for random weights, those
 * of a float. Scales of fp8 weights are not counted. */
int64_t reel_model_stored_bytes(const struct reel_model_files *files, int tensor, int64_t layer);

/* Not collective. The index of the first value that is not finite; count when all are finite. */
int64_t reel_first_not_finite(const float *values, int64_t count);

#endif
