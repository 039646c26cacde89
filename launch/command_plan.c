/* reel plan: who holds and sends what, without weights, devices or mpirun. */
#include "command.h"

#include "arguments.h"
#include "model_file.h"
#include "outline.h"
#include "tensor_input.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one rank holds and sends. */
struct share {
    int64_t memory[REEL_MEMORIES], total, sent[REEL_PURPOSES];
};

/* Latent frames of a file of latents that the job names; 0 without one. */
static enum reel_status frames_of(const struct reel_job *job, const struct reel_model *model,
                                  const char *path, const char *name, int64_t *frames)
{
    int64_t shape[4] = {model->out_channels, -1, job->video.height / 8, job->video.width / 8}, found[4] = {0};
    *frames = 0;
    if (!path[0])
        return REEL_OK;
    REEL_PASS(reel_input_shape(path, name, 4, shape, found));
    *frames = found[1];
    return REEL_OK;
}

static enum reel_status number_of(const char *option, const char *text, int64_t least, int64_t *number)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    REEL_NEED(errno == 0 && end != text && !*end && value >= least && value <= REEL_PARTS_MAX, REEL_BAD_JOB,
              "%s is %s, expected a number from %lld to %d", option, text, (long long)least, REEL_PARTS_MAX);
    *number = value;
    return REEL_OK;
}

/* "80GiB", "24GB", "1.5TB", or bytes. */
static enum reel_status bytes_of(const char *option, const char *text, double *bytes)
{
    static const struct {
        const char *unit;
        double bytes;
    } units[] = {{"", 1},         {"MB", 1e6},     {"GB", 1e9},    {"TB", 1e12},
                 {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    char *end;
    double value = strtod(text, &end);
    for (size_t u = 0; end != text && value > 0 && value < 1e15 && u < sizeof units / sizeof units[0]; u++)
        if (strcmp(end, units[u].unit) == 0) {
            *bytes = value * units[u].bytes;
            return REEL_OK;
        }
    return reel_fail(REEL_BAD_JOB, "%s is %s, expected a size such as 80GiB or 24GB", option, text);
}

static struct share share_of(const struct reel_outline *outline, const struct reel_plan *plan, int64_t rank)
{
    struct share share = {0};
    for (int b = 0; b < REEL_BUFFERS; b++) {
        int64_t bytes = reel_plan_bytes(plan, rank, (enum reel_buffer)b);
        share.memory[reel_buffer_memory((enum reel_buffer)b)] += bytes;
        share.total += bytes;
    }
    reel_outline_traffic(outline, plan, rank, share.sent);
    return share;
}

/* The value in gigabytes with three digits that count. */
static void print_gigabytes(int64_t bytes)
{
    double value = (double)bytes * 1e-9;
    printf(" %9.*f", value < 10 ? 3 : value < 100 ? 2 : 1, value);
}

/* A row per run of ranks that hold and send the same. */
static void print_table(const struct reel_outline *outline, const struct reel_plan *plan)
{
    static const enum reel_memory shown[] = {REEL_MEMORY_WEIGHTS,   REEL_MEMORY_ACTIVATIONS,
                                             REEL_MEMORY_EMBEDDING, REEL_MEMORY_CONTEXT,
                                             REEL_MEMORY_LATENTS,   REEL_MEMORY_COMMUNICATION};
    printf("\nGB held          ");
    for (int m = 0; m < 6; m++)
        printf(" %9.9s", m == 1 ? "activat." : m == 5 ? "communic." : reel_memory_name(shown[m]));
    printf(" %9s | sent\n", "total");
    for (int64_t rank = 0, next; rank < plan->ranks; rank = next) {
        struct share share = share_of(outline, plan, rank);
        int64_t sent = 0;
        for (next = rank + 1; next < plan->ranks; next++) {
            struct share other = share_of(outline, plan, next);
            if (memcmp(&share, &other, sizeof share) != 0)
                break;
        }
        char name[40];
        snprintf(name, sizeof name, next - rank > 1 ? "ranks %lld-%lld" : "rank %lld", (long long)rank,
                 (long long)next - 1);
        printf("%-17s", name);
        for (int m = 0; m < 6; m++)
            print_gigabytes(share.memory[shown[m]]);
        print_gigabytes(share.total);
        for (int p = 0; p < REEL_PURPOSES; p++)
            sent += share.sent[p];
        printf(" |");
        print_gigabytes(sent);
        printf("\n");
    }
}

static void print_plan(const struct reel_outline *outline, const struct reel_plan *plan)
{
    const struct reel_mesh *m = &plan->mesh;
    printf("mesh    %lld ranks = cfg %lld x ring %lld x ulysses %lld x tensor %lld, weights resident, fp32\n",
           (long long)plan->ranks, (long long)m->cfg, (long long)m->ring, (long long)m->ulysses,
           (long long)m->tensor);
    printf("job     %lld latent frames in %lld chunks, %lld iterations of %lld forwards, at most %lld tokens "
           "each\n",
           (long long)plan->work.video_frames, (long long)outline->chunk_count,
           (long long)outline->iterations, (long long)plan->work.branches,
           (long long)(plan->work.window_frames * plan->work.H * plan->work.W));
    printf("rows    %lld distinct timesteps, %.2f MB of e and e0\n", (long long)outline->table.rows,
           (double)(outline->table.rows * 7 * plan->model.width * 4) * 1e-6);
    print_table(outline, plan);
    printf("\nSent: by one rank over the whole job. Not counted: what MPI and oneDNN take for themselves.\n");
}

static json_t *numbers(int count, const char *(*name)(int), const int64_t *values)
{
    json_t *object = json_object();
    for (int i = 0; i < count; i++)
        json_object_set_new(object, name(i), json_integer(values[i]));
    return object;
}

static const char *memory_name(int m)
{
    return reel_memory_name((enum reel_memory)m);
}

static const char *purpose_name(int p)
{
    return reel_purpose_name((enum reel_purpose)p);
}

static void print_json(const struct reel_outline *outline, const struct reel_plan *plan)
{
    json_t *ranks = json_array();
    for (int64_t rank = 0; rank < plan->ranks; rank++) {
        struct share share = share_of(outline, plan, rank);
        json_t *memory = numbers(REEL_MEMORIES, memory_name, share.memory);
        json_object_set_new(memory, "total", json_integer(share.total));
        json_array_append_new(ranks, json_pack("{s:o, s:o}", "memory", memory, "sent",
                                               numbers(REEL_PURPOSES, purpose_name, share.sent)));
    }
    json_t *all = json_pack("{s:{s:I, s:I, s:I, s:I}, s:I, s:I, s:I, s:I, s:o}", "mesh", "cfg",
                            (json_int_t)plan->mesh.cfg, "ring", (json_int_t)plan->mesh.ring, "ulysses",
                            (json_int_t)plan->mesh.ulysses, "tensor", (json_int_t)plan->mesh.tensor, "chunks",
                            (json_int_t)outline->chunk_count, "iterations", (json_int_t)outline->iterations,
                            "latent_frames", (json_int_t)plan->work.video_frames, "embedding_rows",
                            (json_int_t)outline->table.rows, "ranks", ranks);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

/* Whether every rank fits. */
static enum reel_status check_fit(const struct reel_outline *outline, const struct reel_plan *plan,
                                  const char *device)
{
    double room = 0;
    if (!device)
        return REEL_OK;
    REEL_PASS(bytes_of("--device-memory", device, &room));
    for (int64_t rank = 0; rank < plan->ranks; rank++) {
        struct share share = share_of(outline, plan, rank);
        REEL_NEED((double)share.total <= room, REEL_BAD_PLAN,
                  "rank %lld of %lld needs %.2f GB and --device-memory is %s, expected more memory, more "
                  "ranks or smaller "
                  "diffusion_forcing.base_frames",
                  (long long)rank, (long long)plan->ranks, (double)share.total * 1e-9, device);
    }
    return REEL_OK;
}

static enum reel_status plan(const struct reel_job *job, int64_t ranks, const char *device, int json)
{
    struct reel_model model;
    struct reel_outline outline;
    struct reel_plan made;
    int64_t prefix, end;
    REEL_PASS(reel_model_sizes(job->model.path, &model));
    REEL_PASS(frames_of(job, &model, job->diffusion_forcing.prefix_latents, "prefix_latents", &prefix));
    REEL_PASS(frames_of(job, &model, job->diffusion_forcing.end_latents, "end_latents", &end));
    REEL_PASS(reel_outline_make(job, prefix, end, &outline));
    struct reel_workload work = reel_outline_workload(&outline, job, &model, 1);
    struct reel_mesh mesh = reel_outline_mesh(job);
    enum reel_status status = reel_outline_check(job, &model, &work);
    if (status == REEL_OK)
        status = reel_plan_make(&model, &work, &mesh, ranks, &made);
    if (status == REEL_OK) {
        if (json)
            print_json(&outline, &made);
        else
            print_plan(&outline, &made);
        status = check_fit(&outline, &made, device);
    }
    reel_outline_free(&outline);
    return status;
}

enum reel_status reel_command_plan(int64_t count, char **words, int64_t ranks_here)
{
    struct reel_option options[] = {{.name = "--ranks", .takes_value = 1},
                                    {.name = "--device-memory", .takes_value = 1},
                                    {.name = "--json"}};
    struct reel_job *job = calloc(1, sizeof *job);
    REEL_NEED(job, REEL_NO_MEMORY, "no memory for the job");
    int64_t ranks = ranks_here;
    enum reel_status status = reel_arguments_read("plan", count, words, options, 3, job);
    if (status == REEL_OK && options[0].value)
        status = number_of("--ranks", options[0].value, 1, &ranks);
    if (status == REEL_OK)
        status = plan(job, ranks, options[1].value, options[2].value != NULL);
    free(job);
    return status;
}
