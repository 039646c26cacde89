/* The tensors of a model's files as one list, whatever files and names they come in.
 *
 * The list is the union over all shards, ordered by name. It knows the prefix and the naming that the files
 * use, so that a tensor is found by what it is:
 *
 *     slot = reel_model_index_find(&index, REEL_SELF_Q_WEIGHT, 7);
 *
 * is blocks.7.self_attn.q.weight, or blocks.7.attn1.to_q.weight, or either of them behind
 * "model.diffusion_model.". */
#ifndef REEL_MODEL_INDEX_H
#define REEL_MODEL_INDEX_H

#include "model.h"
#include "safetensors.h"
#include "status.h"

struct reel_model_slot {
    const struct reel_safetensors *file;
    const struct reel_safetensors_entry *entry;
    int expected; /* set by the check: the model has this tensor */
};

struct reel_model_index {
    struct reel_model_slot *slots; /* ordered by name */
    int64_t count;
    const char *prefix; /* "", "model." or "model.diffusion_model.", in front of every name */
    enum reel_naming naming;
};

/* Not collective. Lists the tensors of count open files, which stay open and unchanged as long as the index.
 * A tensor that two files hold is REEL_BAD_INPUT. Freed by reel_model_index_close. */
enum reel_status reel_model_index_open(struct reel_safetensors *const *files, int64_t count,
                                       struct reel_model_index *index);

/* Not collective. Frees the list; a zeroed index is fine. */
void reel_model_index_close(struct reel_model_index *index);

/* Not collective. Where a tensor is; NULL when no file has it. */
struct reel_model_slot *reel_model_index_find(const struct reel_model_index *index, enum reel_tensor tensor,
                                              int64_t layer);

/* Not collective. What the shapes say about the model, with the published values where they are silent;
 * width, ffn, heads (width / 128) and layers are 0 when they cannot be known. No errors. */
void reel_model_index_infer(const struct reel_model_index *index, struct reel_model *model);

/* Not collective. Whether the files hold exactly the tensors of model, with their shapes, in a floating type
 * that can be read. path is for the message, REEL_BAD_INPUT, which names the first tensors that are missing
 * or not expected. */
enum reel_status reel_model_index_check(struct reel_model_index *index, const char *path,
                                        const struct reel_model *model);

#endif
