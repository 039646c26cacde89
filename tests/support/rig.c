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
    return (struct reel_scratch){.in = most,
                                 .channels = reel_model_head_channels(m),
                                 .threads = omp_get_max_threads(),
                                 .fp8 = rig_fp8};
}

/* latent [C, F, h, w], then y, as the transformer's input. */
static void join_input(struct rig *rig, const struct rig_inputs *inputs)
{
    const struct reel_model *m = &rig->files.model;
    int64_t plane = inputs->F * inputs->h * inputs->w, others = (m->in_channels - m->out_channels) * plane;
    rig->outputs = m->out_channels * plane;
    rig->input = malloc((size_t)(m->in_channels * plane) * sizeof *rig->input);
    memcpy(rig->input, inputs->latent, (size_t)rig->outputs * sizeof *rig->input);
    if (inputs->y)
        memcpy(rig->input + rig->outputs, inputs->y, (size_t)others * sizeof *rig->input);
    rig->velocity = calloc((size_t)rig->outputs, sizeof *rig->velocity);
}

static void embed_prompt(struct rig *rig, const struct rig_inputs *inputs)
{
    const struct reel_model *m = &rig->files.model;
    float *padded = calloc((size_t)(m->text_rows * m->text_width), sizeof *padded);
    memcpy(padded, inputs->prompt, (size_t)(inputs->prompt_rows * m->text_width) * sizeof *padded);
    const int64_t slots[] = {0, 1};
    const float *const prompts[] = {padded, padded};
    reel_dit_prompts(&rig->dit, reel_plan_branches(&rig->plan), slots, prompts);
    free(padded);
    if (m->image_rows > 0)
        reel_dit_image(&rig->dit, inputs->clip);
}

/* The counts of a case. */
static struct reel_workload work_of(struct rig *rig, const struct rig_inputs *inputs, int64_t branches)
{
    struct reel_scratch scratch = scratch_of(&rig->files.model);
    return (struct reel_workload){.H = inputs->h / 2,
                                  .W = inputs->w / 2,
                                  .video_frames = inputs->F,
                                  .chunk_frames = inputs->F,
                                  .window_frames = inputs->F,
                                  .causal_block = inputs->causal_block,
                                  .branches = branches,
                                  .embedding_rows = rig->table.rows,
                                  .number_bytes = rig_number_bytes,
                                  .fp8 = rig_fp8,
                                  .expanded = rig_expanded,
                                  .scratch_bytes = reel_scratch_bytes(rig_ops, &scratch)};
}

/* Stream, table and weights into the arena. */
static void load(struct rig *rig, const struct rig_inputs *inputs)
{
    struct reel_scratch scratch = scratch_of(&rig->files.model);
    struct reel_loading loading = {0};
    struct reel_weights weights;
    char *memory = rig->arena.at[REEL_WEIGHTS];
    reel_stream_open(&rig->stream, rig_ops, &scratch, rig->arena.at[REEL_SCRATCH]);
    must(reel_weights_load(&rig->comm, &rig->files, &rig->plan, REEL_HELD_FOR_EMBEDDING, memory, &loading,
                           &rig->stream, &weights));
    memory += reel_weights_bytes(&rig->plan, rig->comm.world.rank, REEL_HELD_FOR_EMBEDDING);
    reel_time_embedding_make(&rig->table, &rig->files.model, &weights, inputs->fps, &rig->arena,
                             (float *)(void *)memory, &rig->stream, &rig->embedding);
    must(reel_weights_load(&rig->comm, &rig->files, &rig->plan, REEL_HELD_ALWAYS, rig->arena.at[REEL_WEIGHTS],
                           &loading, &rig->stream, &rig->weights));
}

int rig_open_for(struct rig *rig, MPI_Comm world, const char *path, const struct rig_inputs *inputs,
                 int64_t branches, const struct reel_mesh *mesh, const struct reel_watch *watch)
{
    memset(rig, 0, sizeof *rig);
    must(reel_comm_open(world, &rig->comm));
    must(reel_model_open(path, &rig->files));
    if (rig_layers > 0 && rig->files.synthetic)
        rig->files.model.layers = rig_layers;
    if (rig_fp8)
        must(reel_model_keep_fp8(&rig->files));
    reel_timestep_table_clear(&rig->table);
    reel_timestep_table_add(&rig->table, inputs->timesteps, inputs->F);
    struct reel_workload work = work_of(rig, inputs, branches);
    if (reel_plan_make(&rig->files.model, &work, mesh, rig->comm.world.size, &rig->plan) != REEL_OK) {
        rig_close(rig);
        return 0;
    }
    const struct reel_carrier carrier = {.ops = rig_ops, .over_nccl = rig_over_nccl, .seconds = 60};
    must(reel_comm_mesh(&rig->comm, &rig->plan, &carrier));
    must(reel_arena_open(&rig->plan, rig->comm.world.rank, rig_ops, &rig->arena));
    load(rig, inputs);
    reel_dit_open(&rig->dit, &rig->plan, &rig->arena, &rig->weights, &rig->embedding, &rig->comm,
                  &rig->stream);
    if (watch)
        rig->dit.watch = *watch;
    join_input(rig, inputs);
    embed_prompt(rig, inputs);
    must(rig->stream.status);
    return 1;
}

struct rig_inputs rig_inputs_of(struct reference_file *file)
{
    struct reference_tensor latent, y, prompt, clip;
    struct rig_inputs inputs = {.latent = reference_data(file, "latent", REEL_F32),
                                .timesteps = reference_data(file, "timesteps", REEL_I64),
                                .prompt = reference_data(file, "prompt_embeds", REEL_F32),
                                .causal_block = (int64_t)reference_number(file, "causal_block_size", 0),
                                .fps = (int64_t)reference_number(file, "fps", 24)};
    reference_tensor(file, "latent", &latent);
    reference_tensor(file, "prompt_embeds", &prompt);
    inputs.F = latent.shape[1];
    inputs.h = latent.shape[2];
    inputs.w = latent.shape[3];
    inputs.prompt_rows = prompt.shape[0];
    if (reference_tensor(file, "y", &y))
        inputs.y = y.bytes;
    if (reference_tensor(file, "clip_fea", &clip))
        inputs.clip = clip.bytes;
    return inputs;
}

int rig_open(struct rig *rig, MPI_Comm world, const char *path, struct reference_file *file, int64_t branches,
             const struct reel_mesh *mesh, const struct reel_watch *watch)
{
    struct rig_inputs inputs = rig_inputs_of(file);
    return rig_open_for(rig, world, path, &inputs, branches, mesh, watch);
}

void rig_forward(struct rig *rig, struct reference_file *inputs)
{
    rig_forward_at(rig, reference_data(inputs, "timesteps", REEL_I64), 0);
}

void rig_forward_at(struct rig *rig, const int64_t *timesteps, int per_token)
{
    struct reel_moment moment = {.frames = rig->plan.work.window_frames,
                                 .timesteps = timesteps,
                                 .per_token = per_token,
                                 .input = rig->arena.at[REEL_LATENTS_INPUT]};
    float *velocity = rig->arena.at[REEL_LATENTS_VELOCITY];
    struct reel_forward forwards[2] = {{.branch = 0, .velocity = velocity},
                                       {.branch = 1, .velocity = velocity}};
    reel_upload(&rig->stream, rig->arena.at[REEL_LATENTS_INPUT], rig->input,
                reel_plan_bytes(&rig->plan, 0, REEL_LATENTS_INPUT));
    reel_dit_begin(&rig->dit, &moment);
    reel_dit_forward(&rig->dit, forwards, reel_plan_branches(&rig->plan));
    reel_download(&rig->stream, rig->velocity, velocity, rig->outputs * (int64_t)sizeof *velocity);
    must(rig->stream.status);
}

int rig_expanded;
const struct reel_ops *rig_ops = &reel_ops_cpu;
int rig_over_nccl;
int64_t rig_number_bytes = 4;
int rig_fp8;
int64_t rig_layers;

const struct reel_mesh rig_alone = {.cfg = 1, .ring = 1, .ulysses = 1, .tensor = 1};

int64_t meshes_of(int64_t ranks, int64_t branches, int64_t heads, struct reel_mesh meshes[MESHES_MAX])
{
    int64_t count = 0;
    for (int64_t cfg = 1; cfg <= branches; cfg++)
        for (int64_t tensor = 1; tensor <= heads; tensor++)
            for (int64_t ulysses = 1; ulysses * tensor <= heads; ulysses++)
                for (int64_t gathered = 0; gathered < 2; gathered++) {
                    int64_t ring = ranks / (cfg * tensor * ulysses);
                    if (cfg * tensor * ulysses * ring == ranks && gathered <= (ring * ulysses > 1))
                        meshes[count++] = (struct reel_mesh){cfg, ring, ulysses, tensor, gathered};
                }
    return count;
}

const char *mesh_name(const struct reel_mesh *mesh)
{
    static char name[96];
    snprintf(name, sizeof name, "cfg %lld x ring %lld x ulysses %lld x tensor %lld, %s", (long long)mesh->cfg,
             (long long)mesh->ring, (long long)mesh->ulysses, (long long)mesh->tensor,
             mesh->gathered ? "gathered" : "resident");
    return name;
}

int mesh_only_moves(const struct reel_mesh *mesh)
{
    return mesh->ring == 1 && mesh->tensor == 1;
}

void share_cores(int ranks)
{
    int threads = omp_get_num_procs() / ranks;
    omp_set_num_threads(threads < 1 ? 1 : threads);
}

void rig_close(struct rig *rig)
{
    reel_dit_close(&rig->dit);
    free(rig->input);
    free(rig->velocity);
    if (rig->stream.ops)
        reel_stream_close(&rig->stream);
    reel_arena_close(&rig->arena);
    reel_model_close(&rig->files);
    reel_comm_close(&rig->comm);
    memset(rig, 0, sizeof *rig);
}
