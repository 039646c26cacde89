/* reel inspect of an output. */
#include "inspect.h"

#include "output_read.h"
#include "statistics.h"

/* The number of pixel frames that so many latent frames decode to. */
static int64_t pixel_frames(int64_t latent_frames)
{
    return latent_frames > 0 ? 4 * (latent_frames - 1) + 1 : 0;
}

static json_t *chunks_of(const struct reel_output_file *file)
{
    json_t *list = json_array();
    for (int64_t k = 0; k < file->chunk_count; k++) {
        const struct reel_output_chunk *c = &file->chunks[k];
        json_array_append_new(list,
                              json_pack("{s:I, s:I, s:[I, I], s:[I, I]}", "iterations",
                                        (json_int_t)c->iterations, "frames", (json_int_t)c->frames,
                                        "computed", (json_int_t)c->computed[0], (json_int_t)c->computed[1],
                                        "skipped", (json_int_t)c->skipped[0], (json_int_t)c->skipped[1]));
    }
    return list;
}

/* Adds the mean and deviation of every channel, and the number of values that are not finite. */
static void measure_channels(const struct reel_output_file *file, json_t *report)
{
    int64_t plane = file->shape[1] * file->shape[2] * file->shape[3], not_finite = 0;
    json_t *list = json_array();
    for (int64_t c = 0; c < file->shape[0]; c++) {
        struct reel_statistics s = {0};
        reel_statistics_add(&s, file->latents + c * plane, plane);
        not_finite += s.not_finite;
        json_array_append_new(
            list, s.count == 0 ? json_pack("{s:n, s:n}", "mean", "deviation")
                               : json_pack("{s:o, s:o}", "mean", reel_inspect_real(reel_statistics_mean(&s)),
                                           "deviation", reel_inspect_real(reel_statistics_deviation(&s))));
    }
    json_object_set_new(report, "channels", list);
    json_object_set_new(report, "non_finite", json_integer(not_finite));
}

static json_t *report_of(const char *path, const struct reel_output_file *file)
{
    int64_t finished = pixel_frames(file->finished_frames);
    double fps = file->fps > 0 ? (double)file->fps : 1;
    return json_pack(
        "{s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:[I, I, I, I], s:o}", "kind",
        "output", "path", path, "reel_version", file->version, "complete", file->complete != 0, "width",
        (json_int_t)file->width, "height", (json_int_t)file->height, "fps", (json_int_t)file->fps, "seed",
        (json_int_t)file->seed, "frames", (json_int_t)file->frames, "finished_frames", (json_int_t)finished,
        "latent_frames", (json_int_t)((file->frames + 3) / 4), "finished_latent_frames",
        (json_int_t)file->finished_frames, "seconds", (double)file->frames / fps, "finished_seconds",
        (double)finished / fps, "shape", (json_int_t)file->shape[0], (json_int_t)file->shape[1],
        (json_int_t)file->shape[2], (json_int_t)file->shape[3], "chunks", chunks_of(file));
}

enum reel_status reel_inspect_output(const char *path, int with_job, json_t **report)
{
    struct reel_output_file file;
    *report = NULL;
    REEL_PASS(reel_output_open(path, &file));
    *report = report_of(path, &file);
    if (*report)
        measure_channels(&file, *report);
    int done = *report && (!with_job || json_object_set_new(*report, "job", json_string(file.job)) == 0);
    reel_output_close(&file);
    if (!done) {
        json_decref(*report);
        *report = NULL;
    }
    REEL_NEED(done, REEL_NO_MEMORY, "%s: no memory for the report, or a text in it is not UTF-8", path);
    return REEL_OK;
}

/* "30 computed, 12 skipped" for a branch; "-" when it was never called. */
static void calls_text(json_t *chunk, size_t branch, char *text, size_t bytes)
{
    json_t *computed = json_array_get(json_object_get(chunk, "computed"), branch);
    json_t *skipped = json_array_get(json_object_get(chunk, "skipped"), branch);
    if (json_integer_value(computed) + json_integer_value(skipped) == 0)
        snprintf(text, bytes, "-");
    else
        snprintf(text, bytes, "%lld computed, %lld skipped", (long long)json_integer_value(computed),
                 (long long)json_integer_value(skipped));
}

static void print_chunks(json_t *chunks, FILE *to)
{
    size_t k;
    json_t *chunk;
    if (json_array_size(chunks) > 0)
        fprintf(to, "  %5s %10s %7s  %-28s%s\n", "chunk", "iterations", "frames", "conditional",
                "unconditional");
    json_array_foreach(chunks, k, chunk)
    {
        char conditional[64], unconditional[64];
        calls_text(chunk, 0, conditional, sizeof conditional);
        calls_text(chunk, 1, unconditional, sizeof unconditional);
        fprintf(to, "  %5zu %10lld %7lld  %-28s%s\n", k, (long long)reel_inspect_integer(chunk, "iterations"),
                (long long)reel_inspect_integer(chunk, "frames"), conditional, unconditional);
    }
}

static void print_channels(json_t *channels, FILE *to)
{
    size_t c;
    json_t *channel;
    if (json_array_size(channels) > 0)
        fprintf(to, "  %7s %12s %12s\n", "channel", "mean", "deviation");
    json_array_foreach(channels, c, channel)
    {
        json_t *mean = json_object_get(channel, "mean");
        if (json_is_number(mean))
            fprintf(to, "  %7zu %12.5f %12.5f\n", c, json_number_value(mean),
                    json_number_value(json_object_get(channel, "deviation")));
        else
            fprintf(to, "  %7zu %12s %12s\n", c, "-", "-");
    }
}

void reel_inspect_print_output(json_t *report, FILE *to)
{
    json_t *shape = json_object_get(report, "shape");
    long long extents[4];
    for (size_t d = 0; d < 4; d++)
        extents[d] = (long long)json_integer_value(json_array_get(shape, d));
    const char *job = reel_inspect_string(report, "job");
    fprintf(to, "%s: an output of reel %s\n", reel_inspect_string(report, "path"),
            reel_inspect_string(report, "reel_version"));
    reel_inspect_line(
        to, "video", "%lld x %lld pixels, %lld fps, seed %lld",
        (long long)reel_inspect_integer(report, "width"), (long long)reel_inspect_integer(report, "height"),
        (long long)reel_inspect_integer(report, "fps"), (long long)reel_inspect_integer(report, "seed"));
    reel_inspect_line(to, "frames", "%lld of %lld finished, %.2f s of %.2f s",
                      (long long)reel_inspect_integer(report, "finished_frames"),
                      (long long)reel_inspect_integer(report, "frames"),
                      json_number_value(json_object_get(report, "finished_seconds")),
                      json_number_value(json_object_get(report, "seconds")));
    reel_inspect_line(to, "complete", "%s", json_is_true(json_object_get(report, "complete")) ? "yes" : "no");
    reel_inspect_line(to, "latents", "[%lld, %lld, %lld, %lld], %lld of %lld latent frames", extents[0],
                      extents[1], extents[2], extents[3], extents[1],
                      (long long)reel_inspect_integer(report, "latent_frames"));
    reel_inspect_line(to, "not finite", "%lld", (long long)reel_inspect_integer(report, "non_finite"));
    print_chunks(json_object_get(report, "chunks"), to);
    print_channels(json_object_get(report, "channels"), to);
    if (job[0])
        fprintf(to, "\n%s", job);
}
