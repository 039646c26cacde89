/* The tensors that a job's files give beside the model: prompts, prefix, end, image, noise and conditions.
 *
 * Rank 0 reads, and every rank gets the same bytes. Small tensors are read when the job starts. The tensors
 * of a chunk (noise, addnoise, y) are checked when the job starts, so that a wrong shape costs no finished
 * work, and are read when the chunk begins. */
#ifndef REEL_INPUTS_H
#define REEL_INPUTS_H

#include "chunk.h"
#include "comm.h"
#include "job.h"
#include "model.h"
#include "timesteps.h"

#include <stdio.h>

struct reel_inputs {
    float *prefix;         /* [C, prefix_frames, h, w], or NULL */
    float *end;            /* [C, end_frames, h, w], or NULL */
    float *image;          /* [image_rows, image_width], or NULL */
    int64_t prefix_frames; /* latent frames */
    int64_t end_frames;
    int64_t prompts; /* of each branch: one entry a chunk */
    /* [branch][prompts]: [text_rows, text_width], padded with zero rows; NULL where the chunk keeps the
     * prompt of the chunk before it. Chunk 0 has one for every branch in use. */
    float **prompt[2];
    int64_t prompts_made; /* 1 when the prompt is synthetic */
};

/* Collective over world. Reads prefix, end and image. REEL_BAD_INPUT when a file cannot be read, lacks the
 * tensor, or holds another shape or dtype; REEL_BAD_JOB when an i2v model has no prompt.embeds. */
enum reel_status reel_inputs_open(struct reel_comm *comm, const struct reel_job *job,
                                  const struct reel_model *model, struct reel_inputs *inputs);

/* Collective over world. Reads the prompts of every chunk and checks the tensors that the chunks will read.
 * chunks and matrices are [count]. REEL_BAD_JOB when guidance needs a negative prompt and there is none;
 * REEL_BAD_INPUT. */
enum reel_status reel_inputs_chunks(struct reel_comm *comm, const struct reel_job *job,
                                    const struct reel_model *model, const struct reel_chunk *chunks,
                                    const struct reel_timesteps *matrices, int64_t count,
                                    struct reel_inputs *inputs);

/* Not collective; rank 0 calls them. Write hashes of the inputs to out, as lines of a fingerprint
 * (fingerprint.h): the first of the inputs that all chunks share, the second of the inputs of one chunk,
 * whose noise and conditions it reads. REEL_BAD_INPUT, REEL_NO_MEMORY. */
void reel_inputs_fingerprint(const struct reel_job *job, const struct reel_model *model,
                             const struct reel_inputs *inputs, FILE *out);
enum reel_status reel_inputs_fingerprint_chunk(const struct reel_job *job, const struct reel_model *model,
                                               const struct reel_chunk *chunk, int64_t iterations,
                                               const struct reel_inputs *inputs, FILE *out);

/* Not collective. Frees what was read; zeroed inputs are allowed. */
void reel_inputs_close(struct reel_inputs *inputs);

/* Not collective. The prompt of a branch in a chunk, [text_rows, text_width]: the last one given for this or
 * an earlier chunk. *changed is 1 when it was given for this chunk. */
const float *reel_inputs_prompt(const struct reel_inputs *inputs, int64_t branch, int64_t chunk,
                                int *changed);

/* Collective over world. Reads the tensor noise.<chunk> [C, F, h, w] of the file sampler.noise into out. */
enum reel_status reel_inputs_noise(struct reel_comm *comm, const struct reel_job *job,
                                   const struct reel_model *model, const struct reel_chunk *chunk,
                                   float *out);

/* Collective over world. Reads the tensor addnoise.<chunk> of the file sampler.noise into *out [iterations,
 * C, prefix frames, h, w], which the caller frees. */
enum reel_status reel_inputs_addnoise(struct reel_comm *comm, const struct reel_job *job,
                                      const struct reel_model *model, const struct reel_chunk *chunk,
                                      int64_t iterations, float **out);

/* Collective over world. Reads the tensor y.<chunk>, or y where the file has none for the chunk, of the file
 * prompt.embeds into out [in - out channels, F, h, w]; F includes the end frames. */
enum reel_status reel_inputs_condition(struct reel_comm *comm, const struct reel_job *job,
                                       const struct reel_model *model, const struct reel_chunk *chunk,
                                       float *out);

#endif
