/* What a test of the transformer needs around it: a model, its plan, memory, weights and a forward pass, on any
 * communicator. */
#ifndef REEL_TEST_RIG_H
#define REEL_TEST_RIG_H

#include "dit.h"
#include "model_file.h"
#include "reference_file.h"

struct rig {
    struct reel_comm comm;
    struct reel_model_files files;
    struct reel_plan plan;
    struct reel_arena arena;
    struct reel_stream stream;
    struct reel_weights weights;
    struct reel_embedding_table table;
    struct reel_dit dit;
    float *input, *velocity; /* [in_channels, F, h, w], [out_channels, F, h, w] */
    int64_t outputs;         /* floats of velocity */
};

/* Collective over world. Opens the model at path for the inputs of a forward case: latent, timesteps, prompt_embeds,
 * and y and clip_fea where the model is i2v. Ends the program when anything fails, but for a plan that is refused:
 * then it returns 0 and the rig is closed. */
int rig_open(struct rig *rig, MPI_Comm world, const char *path, struct reference_file *inputs,
             const struct reel_watch *watch);

/* Collective over the rig's ranks. One forward of the conditional branch with masks for causal blocks, or 0. */
void rig_forward(struct rig *rig, struct reference_file *inputs, int64_t causal_block);

void rig_close(struct rig *rig);

/* Not collective. Leaves each of that many ranks on this machine its share of the cores, at least one. */
void share_cores(int ranks);

#endif
