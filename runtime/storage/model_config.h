/* Reads the config.json of a transformer, as the original code or diffusers writes it.
 *
 * Values that the file does not give are taken from the shapes of the tensors: the original Wan configs have
 * neither text_dim nor inject_sample_info. A value that reel cannot compute is an error that names its field.
 * Other fields are ignored. */
#ifndef REEL_MODEL_CONFIG_H
#define REEL_MODEL_CONFIG_H

#include "model.h"
#include "status.h"

/* Not collective. Reads the JSON file at path into *model; fields that it does not give are taken from
 * *inferred (reel_model_index_infer). REEL_BAD_INPUT names file, field, value and what was expected. */
enum reel_status reel_model_config_read(const char *path, const struct reel_model *inferred,
                                        struct reel_model *model);

/* Not collective. Checks that the sizes are possible and consistent; path is for the message.
 * REEL_BAD_INPUT. */
enum reel_status reel_model_check(const char *path, const struct reel_model *model);

#endif
