/* One list of the tensors of all files of a model.
 *
 * The list is ordered by name. It knows the prefix and the naming that the files use, so that a tensor is
 * found by its index in the network:
 *
 *     slot = reel_model_index_find(&index, &network, REEL_SELF_Q_WEIGHT, 7);
 *
 * finds blocks.7.self_attn.q.weight or blocks.7.attn1.to_q.weight, or one of these with
 * "model.diffusion_model." in front. */
#ifndef REEL_MODEL_INDEX_H
#define REEL_MODEL_INDEX_H

#include "model.h"
#include "network.h"
#include "safetensors.h"
#include "status.h"

enum reel_model_role {
    REEL_ROLE_UNEXPECTED, /* none of those below */
    REEL_ROLE_TENSOR,     /* the network has this tensor */
    REEL_ROLE_SCALE,      /* of an fp8 weight, or the marker of a file with scales (model_scale.h) */
    REEL_ROLE_IGNORED     /* belongs to fp8 arithmetic that reel does not do */
};

struct reel_model_slot {
    const struct reel_safetensors *file;
    const struct reel_safetensors_entry *entry;
    enum reel_model_role role;           /* set by reel_model_index_review */
    const struct reel_model_slot *scale; /* of an fp8 weight, or NULL; set by reel_model_index_check */
};

enum { REEL_NAMES_SHOWN = 4, REEL_NAMES_BYTES = 800 };

/* The first names of a set, for a message: "a, b, c, d, ...". */
struct reel_names {
    int64_t count;
    char text[REEL_NAMES_BYTES];
};

/* The list of tensors compared with a network's. */
struct reel_model_review {
    struct reel_names missing, unexpected;
};

struct reel_model_index {
    struct reel_model_slot *slots; /* ordered by name */
    int64_t count;
    const char *prefix; /* "", "model." or "model.diffusion_model.", in front of every name */
    enum reel_naming naming;
};

/* Not collective. Lists the tensors of count open files, which must stay open and unchanged as long as the
 * index. Of the network only the names are used, not the sizes. A tensor that two files hold is
 * REEL_BAD_INPUT. The caller frees the index with reel_model_index_close, also after an error.
 * REEL_NO_MEMORY. */
enum reel_status reel_model_index_open(struct reel_safetensors *const *files, int64_t count,
                                       const struct reel_network *network, struct reel_model_index *index);

/* Not collective. Frees the list; a zeroed index is allowed. */
void reel_model_index_close(struct reel_model_index *index);

/* Not collective. The slot of a tensor; NULL when no file has it. layer is used for tensors of blocks
 * only. */
struct reel_model_slot *reel_model_index_find(const struct reel_model_index *index,
                                              const struct reel_network *network, int tensor, int64_t layer);

/* Not collective. The slot of the tensor of that name, prefix included; NULL when no file has it. */
struct reel_model_slot *reel_model_index_named(const struct reel_model_index *index, const char *name);

/* Not collective. Infers the transformer from the shapes, with the published values for what the shapes do
 * not give. width, ffn, heads (width / 128) and layers are 0 when they cannot be inferred. No errors. */
void reel_model_index_infer(const struct reel_model_index *index, struct reel_model *model);

/* Not collective. Gives every tensor its role for this network, and collects the names that are missing or
 * not expected. No errors. */
void reel_model_index_review(struct reel_model_index *index, const struct reel_network *network,
                             struct reel_model_review *review);

/* Not collective. Checks that the files hold exactly the tensors of network, with their shapes, in a floating
 * dtype that reel reads, and with scales as model_scale.h says. path is for the message. REEL_BAD_INPUT names
 * the first tensors that are missing or not expected. */
enum reel_status reel_model_index_check(struct reel_model_index *index, const char *path,
                                        const struct reel_network *network);

#endif
