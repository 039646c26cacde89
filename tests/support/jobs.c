/* Jobs in a test's folder. */
#include "jobs.h"

#include "checkpoint_directory.h"
#include "checkpoint_checksums.h"
#include "test.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int job_rank;

const char job_growing[] =
    "model: {path: 'synthetic:tiny'}\nvideo: {width: 64, height: 48, frames: 29}\nsampler: {steps: 4}\n"
    "diffusion_forcing: {base_frames: 17, overlap_frames: 5, addnoise_condition: 20}\n"
    "checkpoint: {every_iterations: 1}\noutput: {latents: grow.h5}\n";

const char *job_path(const char *name)
{
    static char paths[8][512];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", test_folder(), name);
    return paths[turn];
}

void job_shell(const char *format, ...)
{
    char text[2048], command[2200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(command, sizeof command, "cd %s && %s", test_folder(), text);
    MPI_Barrier(MPI_COMM_WORLD);
    if (job_rank == 0)
        CHECK(system(command) == 0, "%s", command);
    MPI_Barrier(MPI_COMM_WORLD);
}

void job_write(const char *name, const char *text)
{
    MPI_Barrier(MPI_COMM_WORLD);
    FILE *file = job_rank == 0 ? fopen(job_path(name), "w") : NULL;
    if (file) {
        fputs(text, file);
        fclose(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

void job_flip(const char *path, int64_t at)
{
    unsigned char byte;
    MPI_Barrier(MPI_COMM_WORLD);
    if (job_rank == 0) {
        int file = open(path, O_RDWR);
        CHECK(pread(file, &byte, 1, at) == 1, "%s has no byte %lld", path, (long long)at);
        byte ^= 1;
        CHECK(pwrite(file, &byte, 1, at) == 1, "%s could not be changed", path);
        close(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

void job_change(const char *name, const char *tensor)
{
    static char header[1 << 20];
    char quoted[128];
    uint64_t bytes = 0;
    long long begin = 0;
    snprintf(quoted, sizeof quoted, "\"%s\"", tensor);
    int file = open(job_path(name), O_RDONLY);
    CHECK(pread(file, &bytes, 8, 0) == 8 && bytes < sizeof header &&
              pread(file, header, bytes, 8) == (ssize_t)bytes,
          "%s has no header", name);
    close(file);
    header[bytes] = '\0';
    const char *at = strstr(header, quoted), *offsets = at ? strstr(at, "\"data_offsets\"") : NULL;
    CHECK(offsets && sscanf(strchr(offsets, '['), "[%lld", &begin) == 1, "%s has no %s", name, tensor);
    job_flip(job_path(name), 8 + (int64_t)bytes + begin);
}

int64_t job_newest(const char *folder, int64_t *count)
{
    int64_t *generations = NULL, first = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(reel_checkpoint_directory_list(job_path(folder), &generations, count) == REEL_OK, "%s",
          reel_error_here()->cause);
    if (*count > 0)
        first = generations[0];
    free(generations);
    MPI_Barrier(MPI_COMM_WORLD);
    return first;
}

const char *job_checkpoint(const char *folder, int64_t generation)
{
    static char paths[2][REEL_CHECKPOINT_PATH_BYTES];
    static int turn;
    turn = !turn;
    reel_checkpoint_directory_file(job_path(folder), generation, paths[turn]);
    return paths[turn];
}

struct partial_end job_run(const char *job, const char *settings, int64_t max)
{
    char text[4096];
    struct partial_end end;
    struct piece piece = {.world = MPI_COMM_WORLD, .job = job_path(job), .max = max};
    int64_t count = 0;
    snprintf(text, sizeof text, "%s", settings);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        if (strcmp(word, "--fresh") == 0)
            piece.fresh = 1;
        else if (strcmp(word, "--stop") == 0)
            piece.stop = 1;
        else
            piece.sets[count++] = word;
    partial_run(&piece, &end);
    return end;
}

struct partial_end job_must(const char *job, const char *settings, int64_t max)
{
    struct partial_end end = job_run(job, settings, max);
    CHECK(end.status == REEL_OK, "%s %s: %s", job, settings, end.cause);
    return end;
}

void job_same(struct partial_end *end, const struct partial_end *one, const char *what)
{
    CHECK(end->complete && end->latents && end->count == one->count &&
              memcmp(end->latents, one->latents, (size_t)one->count * sizeof *one->latents) == 0,
          "%s: not the latents of an undisturbed run", what);
    partial_free(end);
}

void job_refused(const char *job, const char *settings, const char *const *words, int count)
{
    struct partial_end end = job_run(job, settings, 0);
    CHECK(end.status == REEL_BAD_INPUT, "%s %s: %d %s", job, settings, (int)end.status, end.cause);
    for (int w = 0; job_rank == 0 && w < count; w++)
        CHECK(strstr(end.cause, words[w]), "%s %s should say %s: %s", job, settings, words[w], end.cause);
    partial_free(&end);
}

int job_says(const struct partial_end *end, const char *words)
{
    return job_rank != 0 || strstr(end->notes, words) != NULL;
}

void job_begin_files(const char *folder)
{
    char text[2048];
    job_shell("rm -rf %s && mkdir %s && cp -r %s/tiny-df/native %s/model && "
              "cp %s/tiny-df/prefix-addnoise.inputs.safetensors %s/inputs.safetensors && chmod -R u+w %s",
              folder, folder, test_reference(), folder, test_reference(), folder, folder);
    snprintf(text, sizeof text,
             "model: {path: model}\nvideo: {width: 64, height: 48, frames: 17}\n"
             "prompt: {embeds: inputs.safetensors}\nsampler: {steps: 5, noise: inputs.safetensors}\n"
             "diffusion_forcing: {prefix_latents: inputs.safetensors, addnoise_condition: 20}\n"
             "checkpoint: {every_iterations: 1, keep: 3}\noutput: {latents: out.h5}\n");
    char name[256];
    snprintf(name, sizeof name, "%s/job.yaml", folder);
    job_write(name, text);
    struct partial_end end = job_must(name, "", 2);
    CHECK(end.row == 2, "left before iteration %lld", (long long)end.row);
}
