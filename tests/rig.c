/* A transformer without a sampler around it. */
#include "rig.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(enum reel_status status)
{
    if (status == REEL_OK)
        return;
    fprintf(stderr, "the rig cannot be built: %s\n", reel_error_here()->cause);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static struct reel_scratch scratch_of(const struct reel_model *m)
{
    int64_t most = m->ffn > 4 * m->width ? m->ffn : 4 * m->width;
    if (m->image_width > most)
        most = m->image_width;
    return (struct reel_scratch){
        .in = most, .channels = reel_model_head_channels(m), .threads = omp_get_max_threads()};
}

/* latent [C, F, h, w], then y, as the transformer's input. */
static void join_input(struct rig *rig, struct reference_file *inputs)
{
    struct reference_tensor latent, y;
    reference_tensor(inputs, "latent", &latent);
    rig->input = malloc((size_t)(latent.count * 4) * sizeof *rig->input);
    memcpy(rig->input, latent.bytes, (size_t)latent.count * sizeof *rig->input);
    if (rig->files.model.in_channels > rig->files.model.out_channels && reference_tensor(inputs, "y", &y))
        memcpy(rig->input + latent.count, y.bytes, (size_t)y.count * sizeof *rig->input);
    rig->outputs = latent.count;
    rig->velocity = calloc((size_t)rig->outputs, sizeof *rig->velocity);
}

static void embed_prompt(struct rig *rig, struct reference_file *inputs)
{
    struct reference_tensor prompt;
    const struct reel_model *m = &rig->files.model;
    reference_tensor(inputs, "prompt_embeds", &prompt);
    float *padded = calloc((size_t)(m->text_rows * m->text_width), sizeof *padded);
    memcpy(padded, prompt.bytes, (size_t)prompt.count * sizeof *padded);
    reel_dit_prompt(&rig->dit, 0, padded);
    free(padded);
    if (m->image_rows > 0)
        reel_dit_image(&rig->dit, reference_data(inputs, "clip_fea", REEL_F32));
}

int rig_open(struct rig *rig, MPI_Comm world, const char *path, struct reference_file *inputs,
             const struct reel_watch *watch)
{
    struct reference_tensor latent;
    memset(rig, 0, sizeof *rig);
    must(reel_comm_open(world, &rig->comm));
    must(reel_model_open(path, &rig->files));
    reference_tensor(inputs, "latent", &latent);
    reel_embedding_clear(&rig->table);
    reel_embedding_add(&rig->table, reference_data(inputs, "timesteps", REEL_I64), latent.shape[1]);
    struct reel_scratch scratch = scratch_of(&rig->files.model);
    struct reel_workload work = {.H = latent.shape[2] / 2,
                                 .W = latent.shape[3] / 2,
                                 .video_frames = latent.shape[1],
                                 .chunk_frames = latent.shape[1],
                                 .window_frames = latent.shape[1],
                                 .branches = 1,
                                 .embedding_rows = rig->table.rows,
                                 .weights_bytes = reel_weights_bytes(&rig->files.model),
                                 .scratch_bytes = reel_scratch_bytes(&reel_ops_cpu, &scratch)};
    struct reel_mesh mesh = {.cfg = 1, .ring = 1, .ulysses = REEL_AUTO_WAYS, .tensor = 1};
    if (reel_plan_make(&rig->files.model, &work, &mesh, rig->comm.world.size, &rig->plan) != REEL_OK) {
        rig_close(rig);
        return 0;
    }
    must(reel_comm_mesh(&rig->comm, &rig->plan));
    must(reel_arena_open(&rig->plan, rig->comm.world.rank, &rig->arena));
    must(reel_weights_load(&rig->files, rig->arena.at[REEL_WEIGHTS], work.weights_bytes, &rig->weights, NULL,
                           NULL));
    reel_stream_open(&rig->stream, &reel_ops_cpu, &scratch, rig->arena.at[REEL_SCRATCH]);
    reel_embedding_make(&rig->table, &rig->files.model, &rig->weights,
                        (int64_t)reference_number(inputs, "fps", 24), &rig->arena, &rig->stream);
    reel_dit_open(&rig->dit, &rig->plan, &rig->arena, &rig->weights, &rig->table, &rig->comm.sequence,
                  &rig->stream);
    if (watch)
        rig->dit.watch = *watch;
    join_input(rig, inputs);
    embed_prompt(rig, inputs);
    must(rig->stream.status);
    return 1;
}

void rig_forward(struct rig *rig, struct reference_file *inputs, int64_t causal_block)
{
    struct reel_forward forward = {.frames = rig->plan.work.window_frames,
                                   .timesteps = reference_data(inputs, "timesteps", REEL_I64),
                                   .input = rig->input,
                                   .causal_block = causal_block,
                                   .velocity = rig->velocity};
    reel_dit_forward(&rig->dit, &forward);
    must(rig->stream.status);
}

void share_cores(int ranks)
{
    int threads = omp_get_num_procs() / ranks;
    omp_set_num_threads(threads < 1 ? 1 : threads);
}

void rig_close(struct rig *rig)
{
    free(rig->input);
    free(rig->velocity);
    reel_arena_close(&rig->arena);
    reel_model_close(&rig->files);
    reel_comm_close(&rig->comm);
    memset(rig, 0, sizeof *rig);
}
