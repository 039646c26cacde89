/* What a job hands in beside the model: prompts, prefix, end, image, and noise.
 *
 * Rank 0 reads, every rank gets the same bytes. Small tensors are read when the job starts; those of a chunk (noise,
 * addnoise, y) are only checked then and read when the chunk begins, so that a wrong shape costs no finished work. */
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
    int64_t prompts; /* of each branch; prompt 0 is in force at the start */
    float *
        *prompt[2]; /* [prompts]: [text_rows, text_width], padded with zero rows; NULL where none is given */
    int64_t prompts_made; /* 1 when the prompt is synthetic */
};

/* Collective over world. Reads prefix, end and image; REEL_BAD_INPUT for what is wrong with the files. */
enum reel_status reel_inputs_open(struct reel_comm *comm, const struct reel_job *job,
                                  const struct reel_model *model, struct reel_inputs *inputs);

/* Collective over world. Reads the prompts of every chunk and checks shapes of what the chunks will read.
 * REEL_BAD_JOB when guidance asks for a negative prompt that is not there. matrices [count] belong to chunks. */
enum reel_status reel_inputs_chunks(struct reel_comm *comm, const struct reel_job *job,
                                    const struct reel_model *model, const struct reel_chunk *chunks,
                                    const struct reel_timesteps *matrices, int64_t count,
                                    struct reel_inputs *inputs);

/* Not collective; on rank 0, which reads noise and conditions for it. Writes hashes of what the job takes as a whole, and of
 * what a chunk takes, as lines of a fingerprint (fingerprint.h) to out. Errors of reading. */
void reel_inputs_fingerprint(const struct reel_job *job, const struct reel_model *model,
                             const struct reel_inputs *inputs, FILE *out);
enum reel_status reel_inputs_fingerprint_chunk(const struct reel_job *job, const struct reel_model *model,
                                               const struct reel_chunk *chunk, int64_t iterations,
                                               const struct reel_inputs *inputs, FILE *out);

/* Not collective. Frees what was read; inputs of zeros are allowed. */
void reel_inputs_close(struct reel_inputs *inputs);

/* Not collective. The prompt of a branch that is in force in a chunk, [text_rows, text_width]; *changed says whether
 * it took force in this very chunk. */
const float *reel_inputs_prompt(const struct reel_inputs *inputs, int64_t branch, int64_t chunk,
                                int *changed);

/* Collective over world. Reads noise.<chunk> [C, F, h, w] of sampler.noise into out. */
enum reel_status reel_inputs_noise(struct reel_comm *comm, const struct reel_job *job,
                                   const struct reel_model *model, const struct reel_chunk *chunk,
                                   float *out);

/* Collective over world. Reads addnoise.<chunk>; *out [iterations, C, prefix frames, h, w] is the caller's to free. */
enum reel_status reel_inputs_addnoise(struct reel_comm *comm, const struct reel_job *job,
                                      const struct reel_model *model, const struct reel_chunk *chunk,
                                      int64_t iterations, float **out);

/* Collective over world. Reads y.<chunk>, or y, [in - out channels, F, h, w], end frames included, into out. */
enum reel_status reel_inputs_condition(struct reel_comm *comm, const struct reel_job *job,
                                       const struct reel_model *model, const struct reel_chunk *chunk,
                                       float *out);

#endif
