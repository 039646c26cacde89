/* A transformer without a sampler around it. */
#include "fixture.h"

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
    int64_t max = m->ffn > 4 * m->width ? m->ffn : 4 * m->width;
    if (m->image_width > max)
        max = m->image_width;
    return (struct reel_scratch){.in = max,
                                 .channels = reel_model_head_channels(m),
                                 .threads = omp_get_max_threads(),
                                 .weight_dtype = fixture_fp8 ? REEL_F8_E4M3 : fixture_dtype};
}

/* The transformer's input: latent [C, F, h, w], then y. */
static void join_input(struct fixture *fixture, const struct fixture_inputs *inputs)
{
    const struct reel_model *m = &fixture->files.model;
    int64_t plane = inputs->F * inputs->h * inputs->w, others = (m->in_channels - m->out_channels) * plane;
    fixture->outputs = m->out_channels * plane;
    fixture->input = malloc((size_t)(m->in_channels * plane) * sizeof *fixture->input);
    memcpy(fixture->input, inputs->latent, (size_t)fixture->outputs * sizeof *fixture->input);
    if (inputs->y)
        memcpy(fixture->input + fixture->outputs, inputs->y, (size_t)others * sizeof *fixture->input);
    fixture->velocity = calloc((size_t)fixture->outputs, sizeof *fixture->velocity);
}

static void embed_prompt(struct fixture *fixture, const struct fixture_inputs *inputs)
{
    const struct reel_model *m = &fixture->files.model;
    float *padded = calloc((size_t)(m->text_rows * m->text_width), sizeof *padded);
    memcpy(padded, inputs->prompt, (size_t)(inputs->prompt_rows * m->text_width) * sizeof *padded);
    const int64_t slots[] = {0, 1};
    const float *const prompts[] = {padded, padded};
    reel_dit_prompts(&fixture->dit, reel_plan_branches(&fixture->plan), slots, prompts);
    free(padded);
    if (m->image_rows > 0)
        reel_dit_image(&fixture->dit, inputs->clip);
}

/* The workload of a case. */
static struct reel_workload work_of(struct fixture *fixture, const struct fixture_inputs *inputs,
                                    int64_t branches)
{
    struct reel_scratch scratch = scratch_of(&fixture->files.model);
    int64_t patch = fixture->files.model.patch;
    return (struct reel_workload){.H = inputs->h / patch,
                                  .W = inputs->w / patch,
                                  .video_frames = inputs->F,
                                  .chunk_frames = inputs->F,
                                  .window_frames = inputs->F,
                                  .causal_block = inputs->causal_block,
                                  .branches = branches,
                                  .embedding_rows = fixture->table.rows,
                                  .dtype = fixture_dtype,
                                  .matrix_dtype = fixture_fp8 ? REEL_F8_E4M3 : fixture_dtype,
                                  .expanded = fixture_expanded,
                                  .scratch_bytes = reel_scratch_bytes(fixture_ops, &scratch)};
}

/* Opens the stream, makes the table of timestep embeddings and loads the weights, all in the arena. */
static void load(struct fixture *fixture, const struct fixture_inputs *inputs)
{
    struct reel_scratch scratch = scratch_of(&fixture->files.model);
    struct reel_loading loading = {0};
    struct reel_weights weights;
    reel_stream_open(&fixture->stream, fixture_ops, &scratch, fixture->arena.at[REEL_SCRATCH]);
    must(reel_weights_load(&fixture->comm, &fixture->files, &fixture->plan, REEL_PHASE_EMBEDDING,
                           fixture->arena.at[REEL_EMBEDDING_WEIGHTS], &loading, &fixture->stream, &weights));
    reel_time_embedding_make(&fixture->table, &fixture->files.model, &weights, inputs->fps, &fixture->arena,
                             &fixture->stream, &fixture->embedding);
    must(reel_weights_load(&fixture->comm, &fixture->files, &fixture->plan, REEL_PHASE_SAMPLING,
                           fixture->arena.at[REEL_WEIGHTS], &loading, &fixture->stream, &fixture->weights));
}

int fixture_open_for(struct fixture *fixture, MPI_Comm world, const char *path,
                     const struct fixture_inputs *inputs, int64_t branches, const struct reel_mesh *mesh,
                     const struct reel_forward_hook *watch)
{
    memset(fixture, 0, sizeof *fixture);
    must(reel_comm_open(world, &fixture->comm));
    must(reel_model_open(path, &fixture->files));
    if (fixture_layers > 0 && fixture->files.synthetic)
        fixture->files.model.layers = fixture->files.network.layers = fixture_layers;
    if (fixture_fp8)
        must(reel_model_keep_fp8(&fixture->files));
    reel_timestep_table_clear(&fixture->table);
    reel_timestep_table_add(&fixture->table, inputs->timesteps, inputs->F);
    struct reel_workload work = work_of(fixture, inputs, branches);
    if (reel_plan_make(&fixture->files.model, &work, mesh, fixture->comm.world.size, &fixture->plan) !=
        REEL_OK) {
        fixture_close(fixture);
        return 0;
    }
    const struct reel_transport transport = {
        .ops = fixture_ops, .over_nccl = fixture_over_nccl, .seconds = 60};
    must(reel_comm_mesh(&fixture->comm, &fixture->plan, &transport));
    must(reel_arena_open(&reel_buffers, &fixture->plan, fixture->comm.world.rank, fixture_ops,
                         &fixture->arena));
    load(fixture, inputs);
    reel_dit_open(&fixture->dit, &fixture->plan, &fixture->arena, &fixture->weights, &fixture->embedding,
                  &fixture->comm, &fixture->stream);
    if (watch)
        fixture->dit.hook = *watch;
    join_input(fixture, inputs);
    embed_prompt(fixture, inputs);
    must(fixture->stream.status);
    return 1;
}

struct fixture_inputs fixture_inputs_of(struct reference_file *file)
{
    struct reference_tensor latent, y, prompt, clip;
    struct fixture_inputs inputs = {.latent = reference_data(file, "latent", REEL_F32),
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

int fixture_open(struct fixture *fixture, MPI_Comm world, const char *path, struct reference_file *file,
                 int64_t branches, const struct reel_mesh *mesh, const struct reel_forward_hook *watch)
{
    struct fixture_inputs inputs = fixture_inputs_of(file);
    return fixture_open_for(fixture, world, path, &inputs, branches, mesh, watch);
}

void fixture_forward(struct fixture *fixture, struct reference_file *inputs)
{
    fixture_forward_at(fixture, reference_data(inputs, "timesteps", REEL_I64), 0);
}

void fixture_forward_at(struct fixture *fixture, const int64_t *timesteps, int per_token)
{
    struct reel_dit_inputs inputs = {.frames = fixture->plan.work.window_frames,
                                     .timesteps = timesteps,
                                     .per_token = per_token,
                                     .input = fixture->arena.at[REEL_LATENTS_INPUT]};
    float *velocity = fixture->arena.at[REEL_LATENTS_VELOCITY];
    struct reel_forward forwards[2] = {{.branch = 0, .velocity = velocity},
                                       {.branch = 1, .velocity = velocity}};
    reel_upload(&fixture->stream, fixture->arena.at[REEL_LATENTS_INPUT], fixture->input,
                reel_plan_bytes(&fixture->plan, 0, REEL_LATENTS_INPUT));
    reel_dit_begin(&fixture->dit, &inputs);
    reel_dit_forward(&fixture->dit, forwards, reel_plan_branches(&fixture->plan));
    reel_download(&fixture->stream, fixture->velocity, velocity,
                  fixture->outputs * (int64_t)sizeof *velocity);
    must(fixture->stream.status);
}

int fixture_expanded;
const struct reel_ops *fixture_ops = &reel_ops_cpu;
int fixture_over_nccl;
enum reel_dtype fixture_dtype = REEL_F32;
int fixture_fp8;
int64_t fixture_layers;

const struct reel_mesh fixture_alone = {.cfg = 1, .ring = 1, .ulysses = 1, .tensor = 1};

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

void fixture_close(struct fixture *fixture)
{
    reel_dit_close(&fixture->dit);
    free(fixture->input);
    free(fixture->velocity);
    if (fixture->stream.ops)
        reel_stream_close(&fixture->stream);
    reel_arena_close(&fixture->arena);
    reel_model_close(&fixture->files);
    reel_comm_close(&fixture->comm);
    memset(fixture, 0, sizeof *fixture);
}
