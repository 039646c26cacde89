/* A job that is stopped anywhere and resumed, on any number of ranks, ends with the bits of a job that was
 * never stopped. Runs on four ranks, of which each partial run uses some. */
#include "case.h"
#include "gpus.h"
#include "partial_run.h"
#include "device.h"
#include "fixture.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

enum { RANKS = 4 };

static int me, whole;
static struct reel_device elsewhere = {.ops = &reel_ops_shadow, .dtype = REEL_F32, .matrix_dtype = REEL_F32};
static const struct reel_device *device; /* the device; NULL: the CPU, in fp32 */
static MPI_Comm first_ranks[RANKS + 1];  /* [n]: the first n ranks; MPI_COMM_NULL on the others */

/* By number of ranks, meshes that only move data: a job may change between them without changing a bit. */
static const char *const moving[RANKS + 1][2] = {
    {NULL}, {"1", "1"}, {"1", "2"}, {"1", "3"}, {"2", "2"} /* cfg, ulysses */
};

/* Settings of one partial run. */
struct settings {
    char text[8][700];
    int64_t count;
};

static void set(struct settings *settings, const char *key, const char *value)
{
    snprintf(settings->text[settings->count++], sizeof settings->text[0], "%s=%s", key, value);
}

static void set_mesh(struct settings *settings, const char *cfg, const char *ring, const char *ulysses,
                     const char *tensor)
{
    set(settings, "partition.cfg", cfg);
    set(settings, "partition.ring", ring);
    set(settings, "partition.ulysses", ulysses);
    set(settings, "partition.tensor", tensor);
}

static void shell(const char *format, const char *a, const char *b)
{
    char command[2048];
    snprintf(command, sizeof command, format, a, b);
    if (me == 0)
        CHECK(system(command) == 0, "%s", command);
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Collective over all ranks. Makes a partial run on the first `ranks` ranks. All ranks get how it ended; only
 * rank 0 gets the latents. */
static void run_on(int ranks, const char *job, const char *folder, const struct settings *settings,
                   int64_t max, int64_t stop, struct partial_end *end)
{
    char directory[700];
    struct piece piece = {
        .world = first_ranks[ranks], .job = job, .max = max, .stop = stop, .device = device};
    snprintf(directory, sizeof directory, "checkpoint.directory=%s", folder);
    int64_t count = 0;
    piece.sets[count++] = directory;
    piece.sets[count++] = "checkpoint.every_iterations=1";
    for (int64_t s = 0; s < settings->count; s++)
        piece.sets[count++] = settings->text[s];
    memset(end, 0, sizeof *end);
    if (piece.world != MPI_COMM_NULL)
        partial_run(&piece, end);
    if (me != 0)
        partial_free(end);
    float *latents = end->latents;
    MPI_Bcast(end, sizeof *end, MPI_BYTE, 0, MPI_COMM_WORLD);
    end->latents = me == 0 ? latents : NULL;
    CHECK(me != 0 || end->status == REEL_OK, "%s on %d ranks: %s", job, ranks, end->cause);
}

/* Writes the job file of a case; returns its path on all ranks. */
static const char *case_of(const char *folder, const char *name, const char *model)
{
    static char path[600];
    char file[256], output[256];
    if (me == 0) {
        snprintf(file, sizeof file, "%s/%s.expected.safetensors", folder, name);
        snprintf(output, sizeof output, "%s/%s.h5", test_folder(), name);
        struct reference_file *expected = reference_open_named(file);
        snprintf(path, sizeof path, "%s", case_write(folder, name, model, output, expected, ""));
        reference_close(expected);
    }
    MPI_Bcast(path, sizeof path, MPI_CHAR, 0, MPI_COMM_WORLD);
    return path;
}

/* The same for a job with this text. */
static const char *job_of(const char *name, const char *text)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s.yaml", test_folder(), name);
    FILE *file = me == 0 ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%soutput: {latents: %s/%s.h5}\n", text, test_folder(), name);
        fclose(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    return path;
}

/* Runs the job on one rank without a stop. */
static struct partial_end undisturbed(const char *job)
{
    struct partial_end end;
    run_on(1, job, "off", &(struct settings){.count = 0}, -1, 0, &end);
    CHECK(end.complete && (me != 0 || end.latents), "%s did not come to its end", job);
    return end;
}

/* Settings of a partial run on this many ranks: meshes, weights and embedding change with turn. */
static struct settings take_turns(int ranks, int64_t turn)
{
    struct settings settings = {.count = 0};
    set_mesh(&settings, moving[ranks][0], "1", moving[ranks][1], "1");
    set(&settings, "partition.weights", turn % 2 && ranks > 1 ? "gathered" : "resident");
    set(&settings, "teacache.embedding", turn % 3 == 1 ? "expanded" : "rows");
    return settings;
}

/* Stops the job after every iteration, and resumes it each time on another number of ranks. */
static void survives_every_stop(const char *job, const char *what, int64_t offset, int has_guidance)
{
    static const int rounds[] = {1, 3, 2, 4, 2, 1, 4, 3};
    char folder[256];
    struct partial_end one = undisturbed(job), end = {.complete = 0};
    int64_t pieces = 0, ran = 0;
    snprintf(folder, sizeof folder, "%s/chain", test_folder());
    shell("rm -rf %s%s", folder, "");
    for (; !end.complete && end.status == REEL_OK && pieces <= one.iterations; pieces++) {
        int ranks = rounds[(pieces + offset) % 8];
        struct settings settings = take_turns(ranks, pieces);
        if (!has_guidance && ranks == 4)
            ranks = 2, settings = take_turns(2, pieces);
        partial_free(&end);
        run_on(ranks, job, folder, &settings, 1, 0, &end);
        ran += end.iterations;
        CHECK(end.iterations > 0 || end.complete, "%s: piece %lld gets nowhere", what, (long long)pieces);
    }
    CHECK(end.complete && ran == one.iterations, "%s: %lld pieces ran %lld of %lld iterations", what,
          (long long)pieces, (long long)ran, (long long)one.iterations);
    CHECK(me != 0 || (end.latents && end.count == one.count &&
                      memcmp(end.latents, one.latents, (size_t)one.count * sizeof *one.latents) == 0),
          "%s: other bits after %lld pieces: %g", what, (long long)pieces,
          end.latents ? test_relative_error(end.latents, one.latents, one.count) : -1);
    partial_free(&end);
    partial_free(&one);
}

static void every_iteration_of_every_kind_of_job_can_be_its_last(void)
{
    static const struct {
        const char *folder, *name, *model;
        int is_short; /* also without "whole" */
    } cases[] = {{"tiny-df", "async", "native", 1},
                 {"tiny-df", "euler", "native", 1},
                 {"tiny-df", "teacache-e", "native", 1},
                 {"tiny-df", "teacache-e0", "native", 1},
                 {"tiny-df", "async-prefix-teacache", "native", 1},
                 {"tiny-df", "prefix-addnoise", "native", 1},
                 {"tiny-df", "long-prompts-end", "native", 1},
                 {"tiny-df", "seeded", "native", 1},
                 {"tiny-i2v", "i2v", "native", 1},
                 {"tiny-df", "long-teacache-active", "native", 0},
                 {"tiny-df", "long-teacache-all", "native", 0},
                 {"tiny-df", "long", "native", 0},
                 {"tiny-df", "no-guidance", "native", 0},
                 {"tiny-df", "short-text", "native", 0},
                 {"tiny-df", "end-frame", "native", 0},
                 {"tiny-df", "sync", "native", 0},
                 {"tiny-df", "teacache-abs", "native", 0},
                 {"tiny-df", "teacache-signed", "native", 0},
                 {"diffusers/tiny-df", "async-frames", "../../tiny-df/diffusers", 0},
                 {"diffusers/tiny-df", "async-bidirectional", "../../tiny-df/diffusers", 0},
                 {"diffusers/tiny-df", "long-async-addnoise", "../../tiny-df/diffusers", 1},
                 {"diffusers/tiny-df", "prefix-long", "../../tiny-df/diffusers", 0},
                 {"diffusers/tiny-df", "last-image-async", "../../tiny-df/diffusers", 0},
                 {"diffusers/tiny-df", "last-image-long", "../../tiny-df/diffusers", 0},
                 {"diffusers/tiny-i2v", "i2v", "../../tiny-i2v/diffusers", 0}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
        for (int64_t offset = 0; offset < (whole ? 8 : cases[c].is_short); offset++)
            survives_every_stop(case_of(cases[c].folder, cases[c].name, cases[c].model), cases[c].name,
                                offset + (int64_t)c, strcmp(cases[c].name, "no-guidance") != 0);
}

static void a_window_that_slides_goes_on_too(void)
{
    const char *job =
        job_of("sliding", "model: {path: 'synthetic:tiny'}\n"
                          "video: {width: 64, height: 48, frames: 37}\n"
                          "sampler: {steps: 5}\n"
                          "diffusion_forcing: {base_frames: 17, overlap_frames: 0, ar_step: 2}\n");
    for (int64_t offset = 0; offset < (whole ? 8 : 1); offset++)
        survives_every_stop(job, "a sliding window", offset, 1);
}

static void every_stop_of_one_rank_is_survived_with_teacache_and_noise_of_generators(void)
{
    const char *job =
        job_of("both", "model: {path: 'synthetic:tiny'}\n"
                       "video: {width: 64, height: 48, frames: 33}\n"
                       "sampler: {steps: 8, scheduler: euler}\n"
                       "teacache: {mode: e0, threshold: 1.0, coefficients: [1, 0], start_step: 1}\n"
                       "diffusion_forcing: {base_frames: 21, overlap_frames: 9, "
                       "addnoise_condition: 20, ar_step: 1, causal_block_size: 3}\n");
    for (int64_t offset = 0; offset < (whole ? 8 : 1); offset++)
        survives_every_stop(job, "TeaCache and addnoise", offset, 1);
}

/* Begins the job on `from` ranks, stops it after max iterations, and resumes it on `to` ranks. */
static void goes_on(const char *job, int from, const struct settings *began, int to,
                    const struct settings *goes, int64_t max, const struct partial_end *one, double bound)
{
    char folder[256], copy[256];
    struct partial_end end;
    snprintf(folder, sizeof folder, "%s/from", test_folder());
    snprintf(copy, sizeof copy, "%s/to", test_folder());
    if (to == 1) { /* the first value of `to` makes the checkpoint that the others resume from too */
        shell("rm -rf %s%s", folder, "");
        run_on(from, job, folder, began, max, 0, &end);
        CHECK(!end.complete && end.row > 0, "it was not left in the midst of a chunk");
    }
    shell("rm -rf %s", copy, "");
    shell("cp -r %s %s", folder, copy);
    run_on(to, job, copy, goes, -1, 0, &end);
    CHECK(end.complete && end.iterations == one->iterations - max, "%d to %d: %lld iterations", from, to,
          (long long)end.iterations);
    if (me == 0 && bound <= 0)
        CHECK(memcmp(end.latents, one->latents, (size_t)one->count * sizeof *one->latents) == 0,
              "%d ranks, then %d: other bits", from, to);
    else if (me == 0)
        CHECK(test_relative_error(end.latents, one->latents, one->count) <= bound, "%d ranks, then %d: %g",
              from, to, test_relative_error(end.latents, one->latents, one->count));
    partial_free(&end);
}

static void what_n_ranks_began_m_ranks_end(void)
{
    const char *job = case_of("tiny-df", "seeded", "native");
    struct partial_end one = undisturbed(job);
    for (int from = 1; from <= RANKS; from++)
        for (int to = 1; to <= RANKS; to++) {
            struct settings began = take_turns(from, from), goes = take_turns(to, from + to);
            goes_on(job, from, &began, to, &goes, 6, &one, 0);
        }
    partial_free(&one);
}

/* Sums have another order, so results agree within a bound. */
static void what_a_ring_began_a_row_of_tensors_ends(void)
{
    const char *job = case_of("tiny-df", "seeded", "native");
    struct partial_end one = undisturbed(job);
    for (int from = 1; from <= RANKS; from++)
        for (int to = 1; to <= RANKS; to++) {
            char began_ways[16], goes_ways[16];
            struct settings began = {.count = 0}, goes = {.count = 0};
            snprintf(began_ways, sizeof began_ways, "%d", from);
            snprintf(goes_ways, sizeof goes_ways, "%d", to);
            if (from % 2)
                set_mesh(&began, "1", began_ways, "1", "1");
            else
                set_mesh(&began, "1", "1", "1", began_ways);
            if (to % 2)
                set_mesh(&goes, "1", "1", "1", goes_ways);
            else
                set_mesh(&goes, "1", goes_ways, "1", "1");
            goes_on(job, from, &began, to, &goes, 6, &one, 5e-6);
        }
    partial_free(&one);
}

/* The comparison above must refuse a wrong result: that of another seed. */
static void a_run_of_another_seed_would_be_found(void)
{
    const char *job = case_of("tiny-df", "seeded", "native");
    struct partial_end one = undisturbed(job), other;
    struct settings settings = {.count = 0};
    set(&settings, "sampler.seed", "1234568");
    run_on(1, job, "off", &settings, -1, 0, &other);
    if (me == 0)
        CHECK(test_relative_error(other.latents, one.latents, one.count) > 5e-6, "two seeds, one video");
    partial_free(&one);
    partial_free(&other);
}

/* Collective. Chooses the device that the words shadow, cuda and bf16 name; returns 0 where this machine has
 * none. */
static int take_place(const char *words)
{
    if (strstr(words, "bf16"))
        elsewhere.dtype = elsewhere.matrix_dtype = REEL_BF16;
    if (strstr(words, "cuda"))
        elsewhere.ops = &reel_ops_cuda;
    if (strstr(words, "cuda") || strstr(words, "shadow"))
        device = &elsewhere;
    return !strstr(words, "cuda") || gpus_take(0);
}

int main(int argc, char **argv)
{
    const char *words = argc > 1 ? argv[1] : "";
    int level, ranks;
    setenv("OMPI_MCA_io", "romio321", 0);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    whole = strcmp(words, "whole") == 0;
    if (!take_place(words)) {
        MPI_Finalize();
        return GPUS_SKIPPED;
    }
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    CHECK(ranks == RANKS, "%d ranks, expected %d", ranks, RANKS);
    for (int n = 1; n <= RANKS && ranks == RANKS; n++)
        MPI_Comm_split(MPI_COMM_WORLD, me < n ? 0 : MPI_UNDEFINED, me, &first_ranks[n]);
    share_cores(ranks);
    test_folder(); /* collective on its first call */
    if (device) {
        RUN(every_stop_of_one_rank_is_survived_with_teacache_and_noise_of_generators);
        RUN(a_window_that_slides_goes_on_too);
    } else if (ranks == RANKS) {
        RUN(what_n_ranks_began_m_ranks_end);
        RUN(what_a_ring_began_a_row_of_tensors_ends);
        RUN(a_run_of_another_seed_would_be_found);
        RUN(every_iteration_of_every_kind_of_job_can_be_its_last);
        RUN(a_window_that_slides_goes_on_too);
        RUN(every_stop_of_one_rank_is_survived_with_teacache_and_noise_of_generators);
    }
    int failed = test_end();
    MPI_Finalize();
    return failed;
}
