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

enum reel_model_role {
    REEL_ROLE_UNEXPECTED, /* neither of those below */
    REEL_ROLE_TENSOR,     /* the model has this tensor */
    REEL_ROLE_SCALE,      /* of an fp8 weight, or the sign that a file has such (model_scale.h) */
    REEL_ROLE_IGNORED     /* belongs to fp8 arithmetic that reel does not do */
};

struct reel_model_slot {
    const struct reel_safetensors *file;
    const struct reel_safetensors_entry *entry;
    enum reel_model_role role;           /* set by the review */
    const struct reel_model_slot *scale; /* set by the check: what an fp8 weight is multiplied by, or NULL */
};

enum { REEL_NAMES_SHOWN = 4, REEL_NAMES_BYTES = 800 };

/* The first names of a set, for a message: "a, b, c, d, ...". */
struct reel_names {
    int64_t count;
    char text[REEL_NAMES_BYTES];
};

/* What the list of tensors is like beside that of a model. */
struct reel_model_review {
    struct reel_names missing, unexpected;
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

/* Not collective. The tensor of that name, prefix included; NULL when no file has it. */
struct reel_model_slot *reel_model_index_named(const struct reel_model_index *index, const char *name);

/* Not collective. What the shapes say about the model, with the published values where they are silent;
 * width, ffn, heads (width / 128) and layers are 0 when they cannot be known. No errors. */
void reel_model_index_infer(const struct reel_model_index *index, struct reel_model *model);

/* Not collective. Gives every tensor its role beside model, and names those that are missing or not expected.
 * No errors. */
void reel_model_index_review(struct reel_model_index *index, const struct reel_model *model,
                             struct reel_model_review *review);

/* Not collective. Whether the files hold exactly the tensors of model, with their shapes, in a floating type
 * that can be read, and fp8 weights their scales. path is for the message, REEL_BAD_INPUT, which names the
 * first tensors that are missing or not expected. */
enum reel_status reel_model_index_check(struct reel_model_index *index, const char *path,
                                        const struct reel_model *model);

#endif
