/* Whole runs, from job file to output file, give the official result, and the same bits on any number of
 * ranks. The first argument may contain the words whole, hosts, shadow, cuda, nccl, bf16. */
#include "case.h"
#include "gpus.h"
#include "job_file.h"
#include "fixture.h"
#include "sampler.h"
#include "test.h"

#include <hdf5.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int expanded; /* whether the embedding is expanded in what follows */
/* The device of all ranks, and of the one rank that they are compared with, as in reference_forward_test. */
static struct reel_device device = {.ops = &reel_ops_cpu, .dtype = REEL_F32, .matrix_dtype = REEL_F32},
                          device_of_one;
static int ranks, me, whole; /* whole: every case on every mesh, else a covering subset */
/* Bounds of the relative error: against the official result, and against one rank where sums have another
 * order. They depend on fp32 or bf16. */
static double from_official = 1e-4, from_one_rank = 5e-6;

static void agrees(const char *what, const float *found, const float *expected, int64_t count, double bound)
{
    double error = test_relative_error(found, expected, count);
    CHECK(error < bound, "%s on %d ranks: error %g", what, ranks, error);
    test_measured("official", error, bound);
    float *perturbed = malloc((size_t)count * sizeof *perturbed);
    for (int64_t i = 0; i < count; i++)
        perturbed[i] = expected[i] * (float)(1 + 3 * bound);
    CHECK(!(test_relative_error(perturbed, expected, count) < bound), "%s: a perturbed answer passes", what);
    free(perturbed);
}

static void matrices_are(const struct reel_run *run, struct reference_file *expected, const char *name)
{
    for (int64_t k = 0; k < run->timeline.chunk_count; k++) {
        const struct reel_timesteps *m = &run->timeline.matrices[k];
        char tensor[64];
        snprintf(tensor, sizeof tensor, "expected.timestep_matrix.%lld", (long long)k);
        CHECK(memcmp(m->timestep, reference_data(expected, tensor, REEL_I64),
                     (size_t)(m->rows * m->frames) * 8) == 0,
              "%s of %s", tensor, name);
        snprintf(tensor, sizeof tensor, "expected.update_mask.%lld", (long long)k);
        CHECK(memcmp(m->update, reference_data(expected, tensor, REEL_U8), (size_t)(m->rows * m->frames)) ==
                  0,
              "%s of %s", tensor, name);
        snprintf(tensor, sizeof tensor, "expected.interval.%lld", (long long)k);
        CHECK(memcmp(m->interval, reference_data(expected, tensor, REEL_I64), (size_t)m->rows * 16) == 0,
              "%s of %s", tensor, name);
    }
}

/* Compares a buffer of the arena with the official values. */
static void buffer_agrees(struct reel_sampler *s, const char *what, enum reel_buffer buffer,
                          const struct reference_tensor *t)
{
    float *copy = malloc((size_t)t->count * sizeof *copy);
    reel_download(&s->engine->stream, copy, s->engine->arena.at[buffer], t->count * (int64_t)sizeof *copy);
    agrees(what, copy, t->bytes, t->count, from_official);
    free(copy);
}

/* After the first iteration of a chunk, compares the guided velocity, and in chunk 0 the latents. */
static void first_iteration_is(struct reel_sampler *s, struct reference_file *expected, const char *name)
{
    char tensor[64], what[128];
    struct reference_tensor t;
    snprintf(tensor, sizeof tensor, "expected.velocity.%lld.0", (long long)s->run.latents.chunk->index);
    snprintf(what, sizeof what, "%s of %s", tensor, name);
    if (reference_tensor(expected, tensor, &t))
        buffer_agrees(s, what, REEL_LATENTS_VELOCITY, &t);
    if (s->run.latents.chunk->index == 0 && reference_tensor(expected, "expected.latents.0.0", &t)) {
        snprintf(what, sizeof what, "latents after the first iteration of %s", name);
        buffer_agrees(s, what, REEL_LATENTS_X, &t);
    }
}

/* The decisions that were made and carried out are those that the case expects. */
static void decisions_are(const struct reel_run *run, struct reference_file *expected, const char *name)
{
    struct reference_tensor decisions, distances;
    if (!reference_tensor(expected, "expected.decisions", &decisions))
        return;
    reference_tensor(expected, "expected.distances", &distances);
    const int64_t *row = decisions.bytes;
    const double *distance = distances.bytes;
    CHECK(run->position.calls_made == decisions.shape[0] &&
              run->timeline.call_count == run->position.calls_made,
          "%s: %lld calls, expected %lld", name, (long long)run->position.calls_made,
          (long long)decisions.shape[0]);
    for (int64_t c = 0; c < run->position.calls_made; c++, row += 4, distance += 2) {
        const struct reel_call *call = &run->timeline.calls[c];
        CHECK(call->chunk == row[0] && call->iteration == row[1] && call->branch == row[2] &&
                  call->computed == row[3],
              "%s: call %lld: %lld %lld %lld %lld", name, (long long)c, (long long)call->chunk,
              (long long)call->iteration, (long long)call->branch, (long long)call->computed);
        CHECK(isnan(distance[0]) ? isnan(call->distance)
                                 : fabs(call->distance - distance[0]) <= 1e-5 * distance[0],
              "%s: call %lld: distance %.9g, expected %.9g", name, (long long)c, call->distance, distance[0]);
        CHECK(fabs(call->accumulated - distance[1]) <= 1e-5 * fabs(distance[1]) + 1e-12,
              "%s: call %lld: accumulated %.9g, expected %.9g", name, (long long)c, call->accumulated,
              distance[1]);
    }
}

/* Runs the job of a case to its end on this communicator. Returns the latents, which the caller frees, or
 * NULL when the job cannot be opened. */
static float *run_case(MPI_Comm world, const char *path, struct reference_file *expected, const char *name,
                       int64_t *count)
{
    struct reel_comm comm;
    struct reel_job job;
    struct reel_engine engine;
    struct reel_sampler sampler;
    struct reel_observer observer = {0};
    struct reel_start start = {.job_text = ""};
    float *latents = NULL;
    int ran;
    CHECK(reel_comm_open(world, &comm) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(reel_job_load(path, NULL, 0, &job) == REEL_OK, "%s", reel_error_here()->cause);
    memset(job.checkpoint.directory, 0, sizeof job.checkpoint.directory);
    job.teacache.embedding = expanded ? REEL_EMBEDDING_EXPANDED : REEL_EMBEDDING_ROWS;
    reel_engine_open(&engine, &comm, world == MPI_COMM_SELF ? &device_of_one : &device);
    enum reel_status status = reel_sampler_open(&sampler, &engine, &job, &start, &observer);
    if (status == REEL_OK) {
        const struct reel_timeline *timeline = &sampler.run.timeline;
        matrices_are(&sampler.run, expected, name);
        for (int64_t k = 0, row; k < timeline->chunk_count; k++) {
            CHECK(reel_sample_begin(&sampler, k, &row) == REEL_OK, "%s", reel_error_here()->cause);
            for (; row < timeline->matrices[k].rows; row++) {
                CHECK(reel_sample_iterate(&sampler, row, &ran) == REEL_OK, "%s", reel_error_here()->cause);
                if (row == 0)
                    first_iteration_is(&sampler, expected, name);
            }
            CHECK(reel_sample_end(&sampler) == REEL_OK, "%s", reel_error_here()->cause);
        }
        decisions_are(&sampler.run, expected, name);
        int64_t planned[REEL_TRAFFIC_CLASSES], sent[REEL_TRAFFIC_CLASSES];
        reel_report_traffic(&engine, &sampler.run, planned);
        reel_report_sent(&engine, &sampler.run, sent);
        for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
            CHECK(planned[p] == sent[p], "%s: %s: %lld bytes planned, %lld sent", name,
                  reel_traffic_class_name((enum reel_traffic_class)p), (long long)planned[p],
                  (long long)sent[p]);
        *count = reel_plan_bytes(&engine.plan, 0, REEL_LATENTS_VIDEO) / (int64_t)sizeof *latents;
        latents = malloc((size_t)*count * sizeof *latents);
        memcpy(latents, engine.arena.at[REEL_LATENTS_VIDEO], (size_t)*count * sizeof *latents);
        reel_sampler_close(&sampler);
    }
    reel_engine_close(&engine);
    reel_comm_close(&comm);
    return latents;
}

static void output_holds(const char *path, const float *latents, int64_t count)
{
    float *written = calloc((size_t)count, sizeof *written);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, "/latents", H5P_DEFAULT);
    int64_t complete = 0;
    hid_t attribute = H5Aopen(file, "complete", H5P_DEFAULT);
    H5Aread(attribute, H5T_NATIVE_INT64, &complete);
    H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, written);
    CHECK(complete == 1 && memcmp(written, latents, (size_t)count * sizeof *written) == 0,
          "%s is not the result", path);
    H5Aclose(attribute);
    H5Dclose(set);
    H5Fclose(file);
    free(written);
}

/* The job file of a case on a mesh, written by rank 0 and read by all. */
static const char *job_of(const char *folder, const char *name, const char *layout, const char *output,
                          struct reference_file *expected, const struct reel_mesh *mesh)
{
    static char path[600];
    char partition[160];
    snprintf(partition, sizeof partition,
             "partition: {cfg: %lld, ring: %lld, ulysses: %lld, tensor: %lld, weights: %s}\n",
             (long long)mesh->cfg, (long long)mesh->ring, (long long)mesh->ulysses, (long long)mesh->tensor,
             mesh->gathered ? "gathered" : "resident");
    MPI_Barrier(MPI_COMM_WORLD); /* no rank reads the previous job file any more */
    if (me == 0)
        snprintf(path, sizeof path, "%s", case_write(folder, name, layout, output, expected, partition));
    MPI_Bcast(path, sizeof path, MPI_CHAR, 0, MPI_COMM_WORLD);
    return path;
}

/* The latents of a case on one rank: rank 0 computes them, all ranks get them. The caller frees them. */
static float *alone(const char *folder, const char *name, const char *layout, struct reference_file *expected,
                    int64_t count)
{
    char output[256];
    snprintf(output, sizeof output, "%s/%s.alone.h5", test_folder(), name);
    const char *path = job_of(folder, name, layout, output, expected, &fixture_alone);
    int64_t same = count;
    float *one =
        me == 0 ? run_case(MPI_COMM_SELF, path, expected, name, &same) : malloc((size_t)count * sizeof *one);
    CHECK(one && same == count, "%s has %lld numbers", name, (long long)same);
    MPI_Bcast(one, (int)count, MPI_FLOAT, 0, MPI_COMM_WORLD);
    return one;
}

static void differs_by_sums(const char *what, const float *all, const float *one, int64_t count)
{
    double error = test_relative_error(all, one, count);
    CHECK(error < from_one_rank, "%s is %g from one rank", what, error);
    test_measured("one-rank", error, from_one_rank);
}

/* Runs a case on one mesh with weights in one layout. Compares with the official result, and with one rank:
 * bit for bit where data only moves, else within what another order of sums costs over a run. */
static void case_holds_on(const struct reel_mesh *mesh, const char *folder, const char *name,
                          const char *layout, struct reference_file *expected, const float *one)
{
    char output[256], what[256];
    struct reference_tensor latents;
    int64_t count = 0;
    reference_tensor(expected, "expected.latents", &latents);
    snprintf(what, sizeof what, "%s with %s on %s", name, layout, mesh_name(mesh));
    snprintf(output, sizeof output, "%s/%s.h5", test_folder(), name);
    float *all = run_case(MPI_COMM_WORLD, job_of(folder, name, layout, output, expected, mesh), expected,
                          what, &count);
    CHECK(all && count == latents.count, "%s has %lld numbers: %s", what, (long long)count,
          reel_error_here()->cause);
    agrees(what, all, latents.bytes, count, from_official);
    if (me == 0)
        output_holds(output, all, count);
    if (mesh_only_moves(mesh))
        CHECK(memcmp(one, all, (size_t)count * sizeof *one) == 0, "%s: other bits than one rank", what);
    else
        differs_by_sums(what, all, one, count);
    free(all);
}

/* Runs a case with weights in every layout on every mesh, or on a subset of meshes; all cases together cover
 * all meshes. */
static void case_holds(const char *folder, const char *name, const char *const *layouts, int layout_count,
                       int64_t heads)
{
    static int64_t turn; /* which mesh comes next; counts over all cases */
    char file[256];
    struct reference_tensor latents;
    struct reel_mesh meshes[MESHES_MAX];
    snprintf(file, sizeof file, "%s/%s.expected.safetensors", folder, name);
    struct reference_file *expected = reference_open_named(file);
    CHECK(reference_tensor(expected, "expected.latents", &latents), "%s has no latents", name);
    if (!device.ops->is_host && !whole)
        layout_count = 1; /* the layout of the weight files does not depend on the device */
    int64_t branches = reference_number(expected, "guidance_scale", 1) > 1 ? 2 : 1;
    int64_t count = meshes_of(ranks, branches, heads, meshes);
    /* the expanded embedding is refused where no axis cuts the sequence */
    for (int64_t m = count - 1; expanded && m >= 0; m--)
        if (ranks > 1 && meshes[m].cfg == ranks)
            meshes[m] = meshes[--count];
    if (count == 0) {
        reference_close(expected);
        return;
    }
    int64_t runs = whole ? count : layout_count;
    float *one = alone(folder, name, layouts[0], expected, latents.count);
    if (runs < layout_count)
        runs = layout_count;
    for (int64_t r = 0; r < runs; r++, turn++)
        case_holds_on(&meshes[(whole ? r : turn) % count], folder, name, layouts[r % layout_count], expected,
                      one);
    free(one);
    reference_close(expected);
}

static void every_run_without_teacache_is_the_official_one_in_every_layout(void)
{
    static const char *const cases[] = {
        "sync", "no-guidance",     "euler",     "short-text", "async",
        "long", "prefix-addnoise", "end-frame", "seeded",     "long-prompts-end"};
    static const char *const layouts[] = {"native", "native-sharded", "diffusers", "comfy.safetensors"};
    static const char *const layouts_i2v[] = {"native", "diffusers"};
    for (int c = 0; c < 10; c++)
        case_holds("tiny-df", cases[c], layouts, 4, 4);
    case_holds("tiny-i2v", "i2v", layouts_i2v, 2, 3);
}

/* Decisions agree exactly with both layouts of the embedding, and both layouts give the same bits. */
static void every_run_with_teacache_is_the_official_one(void)
{
    static const char *const cases[] = {"teacache-e",           "teacache-e0",       "teacache-abs",
                                        "teacache-signed",      "long-teacache-all", "long-teacache-active",
                                        "async-prefix-teacache"};
    static const char *const layouts[] = {"native", "comfy.safetensors"};
    for (int c = 0; c < 7; c++) {
        case_holds("tiny-df", cases[c], layouts, 2, 4);
        expanded = 1;
        case_holds("tiny-df", cases[c], layouts, 2, 4);
        expanded = 0;
    }
}

/* Jobs that both diffusers' pipelines and reel can do; reference/diffusers/README.md says which settings make
 * them equal. */
static void every_run_of_diffusers_is_ours(void)
{
    static const char *const cases[] = {"sync",
                                        "no-guidance-fps16",
                                        "async",
                                        "async-frames",
                                        "long",
                                        "async-bidirectional",
                                        "long-addnoise",
                                        "long-async-addnoise",
                                        "prefix-long",
                                        "prefix-addnoise",
                                        "last-image-async",
                                        "last-image-long"};
    static const char *const layouts[] = {"../../tiny-df/diffusers"}, *const layouts_i2v[] = {
                                                                          "../../tiny-i2v/diffusers"};
    for (int c = 0; c < 12; c++)
        case_holds("diffusers/tiny-df", cases[c], layouts, 1, 4);
    case_holds("diffusers/tiny-i2v", "i2v", layouts_i2v, 1, 3);
}

/* Runs on every mesh of this number of ranks, including those that span both hosts. */
static void ranks_of_several_hosts_run_as_those_of_one(void)
{
    static const char *const layouts[] = {"native", "native-sharded", "diffusers", "comfy.safetensors"};
    struct reel_comm comm;
    CHECK(reel_comm_open(MPI_COMM_WORLD, &comm) == REEL_OK, "%s", reel_error_here()->cause);
    CHECK(comm.host.size < comm.world.size, "all %d ranks are on one host", ranks);
    reel_comm_close(&comm);
    whole = 1;
    case_holds("tiny-df", "sync", layouts, 4, 4);
}

/* Collective. Chooses the device that the words name; returns 0 where this machine has none. */
static int take_place(const char *words)
{
    if (strstr(words, "bf16")) {
        device.dtype = device.matrix_dtype = REEL_BF16;
        from_official = from_one_rank = 3e-2;
    }
    device_of_one = device;
    if (strstr(words, "shadow"))
        device.ops = &reel_ops_shadow;
    device.over_nccl = strstr(words, "nccl") != NULL;
    if (!strstr(words, "cuda"))
        return 1;
    device.ops = device_of_one.ops = &reel_ops_cuda;
    return gpus_take(device.over_nccl);
}

int main(int argc, char **argv)
{
    const char *words = argc > 1 ? argv[1] : "";
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    whole = strstr(words, "whole") != NULL;
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    share_cores(ranks);
    if (!take_place(words)) {
        MPI_Finalize();
        return GPUS_SKIPPED;
    }
    if (strcmp(words, "hosts") == 0) {
        RUN(ranks_of_several_hosts_run_as_those_of_one);
    } else {
        RUN(every_run_without_teacache_is_the_official_one_in_every_layout);
        RUN(every_run_with_teacache_is_the_official_one);
        RUN(every_run_of_diffusers_is_ours);
    }
    int failed = test_end();
    MPI_Finalize();
    return failed;
}
