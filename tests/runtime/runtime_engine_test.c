/* One engine serves several runs, one after another, with the bits of programs of their own; and an iteration
 * allocates nothing. */
#include "device.h"
#include "job_file.h"
#include "sampler.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static const char text[] = "model: {path: 'synthetic:tiny'}\n"
                           "video: {width: 64, height: 48, frames: 21}\n"
                           "sampler: {steps: 5, guidance_scale: 4}\n"
                           "diffusion_forcing: {base_frames: 13, overlap_frames: 5, addnoise_condition: 20}\n"
                           "teacache: {threshold: 0.3, coefficients: [1, 0], start_step: 1}\n"
                           "checkpoint: {directory: off}\n"
                           "output: {latents: unused.h5}\n";

static struct reel_comm comm;

/* What a run of the engine showed. */
struct seen {
    int64_t loads, plans; /* events */
    float *latents;       /* the caller's */
    int64_t bytes;
    int64_t allocations; /* by this project's code, in the iterations after the first */
};

/* Calls of the C library's allocator by this project's own code, which the linker turns to these functions.
 * */
static volatile int64_t allocations;
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    return __real_realloc(old, bytes);
}

static void see(void *context, const struct reel_event *event)
{
    struct seen *seen = context;
    seen->loads += event->kind == REEL_EVENT_WEIGHTS;
    seen->plans += event->kind == REEL_EVENT_PLAN;
}

/* Samples all chunks. */
static enum reel_status sample_all(struct reel_sampler *s, struct seen *seen)
{
    for (int64_t k = 0, row, first = 1; k < s->run.timeline.chunk_count; k++) {
        REEL_PASS(reel_sample_begin(s, k, &row));
        for (int ran; row < s->run.timeline.matrices[k].rows; row++, first = 0) {
            int64_t before = allocations;
            REEL_PASS(reel_sample_iterate(s, row, &ran));
            seen->allocations += first ? 0 : allocations - before;
        }
        REEL_PASS(reel_sample_end(s));
    }
    return reel_report_done(s->engine, &s->run);
}

/* Collective. Runs the job with these settings on the engine. */
static struct seen run_on(struct reel_engine *engine, const char *const *sets, int64_t count)
{
    static struct reel_job job;
    struct seen seen = {0};
    struct reel_sampler sampler;
    struct reel_observer observer = {.see = see, .context = &seen};
    char path[600];
    snprintf(path, sizeof path, "%s/job.yaml", test_folder());
    CHECK(reel_job_load(path, sets, count, &job) == REEL_OK, "%s", reel_error_here()->cause);
    memset(job.output.latents, 0, sizeof job.output.latents);
    enum reel_status status =
        reel_sampler_open(&sampler, engine, &job, &(struct reel_start){.job_text = ""}, &observer);
    if (status == REEL_OK) {
        int64_t planned[REEL_TRAFFIC_CLASSES], sent[REEL_TRAFFIC_CLASSES];
        status = sample_all(&sampler, &seen);
        reel_report_traffic(engine, &sampler.run, planned);
        reel_report_sent(engine, &sampler.run, sent);
        CHECK(memcmp(planned, sent, sizeof sent) == 0, "a run sends other bytes than planned");
        seen.bytes = reel_plan_bytes(&engine->plan, 0, REEL_LATENTS_VIDEO);
        seen.latents = malloc((size_t)seen.bytes);
        memcpy(seen.latents, engine->arena.at[REEL_LATENTS_VIDEO], (size_t)seen.bytes);
    }
    CHECK(status == REEL_OK, "%s: %s", sets[0], reel_error_here()->cause);
    reel_sampler_close(&sampler);
    reel_error_clear();
    return seen;
}

enum { SETS = 3 };

/* What the runs of the engine have in common with the run before them, and how often the second loads weights
 * and makes plans that differ. */
static const struct {
    const char *sets[SETS];
    int loads; /* 1: something that the weights depend on differs from the run before */
} runs[] = {{{"sampler.seed=1", "teacache.mode=e", "video.frames=21"}, 1},
            {{"sampler.seed=2", "teacache.mode=e", "video.frames=21"}, 0},
            {{"sampler.seed=1", "teacache.mode=e", "video.frames=21"}, 0},
            {{"sampler.seed=3", "teacache.mode=e", "sampler.steps=4"}, 1},
            {{"sampler.seed=3", "teacache.mode=off", "video.width=80"}, 1},
            {{"sampler.seed=4", "teacache.mode=off", "video.width=80"}, 0},
            {{"sampler.seed=4", "teacache.mode=e0", "teacache.embedding=rows"}, 1},
            {{"sampler.seed=4", "model.compute=bf16", "teacache.embedding=rows"}, 1},
            {{"sampler.seed=1", "teacache.mode=e", "video.frames=21"}, 1}};
enum { RUNS = sizeof runs / sizeof runs[0] };

static void runs_on_one_engine_have_the_bits_of_programs(void)
{
    struct reel_engine shared;
    reel_engine_open(&shared, &comm, NULL);
    for (int r = 0; r < RUNS; r++) {
        struct reel_comm fresh;
        struct reel_engine own;
        struct seen here = run_on(&shared, runs[r].sets, SETS);
        CHECK(reel_comm_open(MPI_COMM_WORLD, &fresh) == REEL_OK, "%s", reel_error_here()->cause);
        reel_engine_open(&own, &fresh, NULL);
        struct seen there = run_on(&own, runs[r].sets, SETS);
        CHECK(here.bytes == there.bytes && here.latents && there.latents &&
                  memcmp(here.latents, there.latents, (size_t)here.bytes) == 0,
              "run %d differs from a program of its own", r);
        if (comm.world.rank == 0)
            CHECK(here.loads == runs[r].loads && here.plans == 1, "run %d loads weights %lld times", r,
                  (long long)here.loads);
        free(here.latents);
        free(there.latents);
        reel_engine_close(&own);
        reel_comm_close(&fresh);
    }
    reel_engine_close(&shared);
}

static void an_engine_follows_another_in_one_process(void)
{
    struct seen seen[2];
    for (int e = 0; e < 2; e++) {
        struct reel_engine engine;
        reel_engine_open(&engine, &comm, &reel_device_cpu);
        seen[e] = run_on(&engine, runs[0].sets, SETS);
        reel_engine_close(&engine);
        CHECK(!engine.arena.block && !engine.model_files.files, "something is left open");
    }
    CHECK(seen[0].bytes == seen[1].bytes && seen[0].latents && seen[1].latents &&
              memcmp(seen[0].latents, seen[1].latents, (size_t)seen[0].bytes) == 0,
          "the second engine computes something else");
    free(seen[0].latents);
    free(seen[1].latents);
}

static void an_iteration_allocates_nothing(void)
{
    int64_t before = allocations;
    void *volatile one = malloc(1);
    free(one);
    CHECK(allocations == before + 1, "allocations are not counted");
    static const char *const sets[][SETS] = {
        {"teacache.mode=e", "sampler.seed=1", "partition.cfg=1"},
        {"teacache.mode=off", "partition.cfg=1", "partition.weights=gathered"},
        {"teacache.mode=e0", "partition.cfg=1", "partition.ring=auto"},
        {"teacache.mode=off", "model.compute=bf16", "partition.cfg=1"}};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        struct reel_engine engine;
        reel_engine_open(&engine, &comm, NULL);
        struct seen seen = run_on(&engine, sets[i], SETS);
        CHECK(seen.allocations == 0, "%s, %s: %lld allocations", sets[i][0], sets[i][2],
              (long long)seen.allocations);
        free(seen.latents);
        reel_engine_close(&engine);
    }
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    CHECK(reel_comm_open(MPI_COMM_WORLD, &comm) == REEL_OK, "%s", reel_error_here()->cause);
    char path[600];
    snprintf(path, sizeof path, "%s/job.yaml", test_folder());
    FILE *file = comm.world.rank == 0 ? fopen(path, "w") : NULL;
    if (file) {
        fputs(text, file);
        fclose(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    RUN(runs_on_one_engine_have_the_bits_of_programs);
    RUN(an_engine_follows_another_in_one_process);
    RUN(an_iteration_allocates_nothing);
    reel_comm_close(&comm);
    int failed = test_end();
    MPI_Finalize();
    return failed;
}
