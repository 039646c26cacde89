/* config.json of a transformer, as the original code and as diffusers write it.
 *
 * What the file does not say is taken from the shapes of the tensors (the original Wan configs name neither
 * text_dim nor inject_sample_info); what reel cannot compute is refused by name; other fields are ignored. */
#ifndef REEL_MODEL_CONFIG_H
#define REEL_MODEL_CONFIG_H

#include "model.h"
#include "status.h"

/* Not collective. Reads the JSON file at path into *model, with *inferred (reel_model_index_infer) in the
 * fields that it leaves open. REEL_BAD_INPUT names file, field, value and what was expected. */
enum reel_status reel_model_config_read(const char *path, const struct reel_model *inferred,
                                        struct reel_model *model);

/* Not collective. Whether the sizes are possible and belong together; path is for the message, which is
 * REEL_BAD_INPUT. */
enum reel_status reel_model_check(const char *path, const struct reel_model *model);

#endif
