/* reel inspect of a checkpoint: every byte is checked first. */
#include "inspect.h"

#include "checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum reel_status check_file(const char *path, struct reel_checksums *checksums)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    REEL_NEED(file >= 0, REEL_BAD_INPUT, "%s: %s", path, strerror(errno));
    enum reel_status status = reel_checksums_read(file, path, checksums);
    if (status == REEL_OK)
        status = reel_checksums_check_rest(file, path, checksums);
    if (status == REEL_OK)
        status = reel_checksums_check_blocks(file, path, checksums, 0, 1);
    close(file);
    return status;
}

static json_t *report_of(const char *path, const struct reel_checksums *checksums,
                         const struct reel_checkpoint *checkpoint)
{
    const struct reel_checkpoint_metadata *metadata = &checkpoint->metadata;
    char weights[24];
    snprintf(weights, sizeof weights, "%016" PRIx64, metadata->weights);
    return json_pack(
        "{s:s, s:s, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, "
        "s:I, s:I, s:b, "
        "s:s, s:I}",
        "kind", "checkpoint", "path", path, "format", (json_int_t)checksums->format, "generation",
        (json_int_t)metadata->generation, "complete", metadata->complete != 0, "chunk",
        (json_int_t)metadata->chunk, "iteration", (json_int_t)metadata->iteration, "begun_chunks",
        (json_int_t)metadata->begun, "finished_latent_frames", (json_int_t)metadata->finished_frames,
        "channels", (json_int_t)metadata->channels, "rows", (json_int_t)metadata->rows, "columns",
        (json_int_t)metadata->columns, "iterations_done", (json_int_t)metadata->done, "attempts",
        (json_int_t)metadata->attempts, "seconds", metadata->seconds, "cfg", (json_int_t)metadata->mesh.cfg,
        "ring", (json_int_t)metadata->mesh.ring, "ulysses", (json_int_t)metadata->mesh.ulysses, "tensor",
        (json_int_t)metadata->mesh.tensor, "gathered", metadata->mesh.gathered != 0, "weights", weights,
        "saved_at", (json_int_t)metadata->saved_at);
}

static json_t *arrays_of(const struct reel_checksums *checksums)
{
    json_t *list = json_array();
    for (int64_t r = 0; r < checksums->range_count; r++)
        json_array_append_new(list, json_pack("{s:I, s:I}", "offset", (json_int_t)checksums->ranges[r].offset,
                                              "bytes", (json_int_t)checksums->ranges[r].bytes));
    return list;
}

enum reel_status reel_inspect_checkpoint(const char *path, int with_job, json_t **report)
{
    struct reel_checksums checksums;
    struct reel_checkpoint checkpoint;
    *report = NULL;
    REEL_PASS(check_file(path, &checksums));
    REEL_PASS(reel_checkpoint_read(path, &checkpoint));
    *report = report_of(path, &checksums, &checkpoint);
    int done = *report && json_object_set_new(*report, "bytes", json_integer(checksums.file_bytes)) == 0 &&
               json_object_set_new(*report, "arrays", arrays_of(&checksums)) == 0 &&
               json_object_set_new(*report, "fingerprint", json_string(checkpoint.fingerprint)) == 0 &&
               (!with_job || json_object_set_new(*report, "job", json_string(checkpoint.job)) == 0);
    reel_checkpoint_free(&checkpoint);
    if (!done) {
        json_decref(*report);
        *report = NULL;
    }
    REEL_NEED(done, REEL_NO_MEMORY, "%s: no memory for the report, or a text in it is not UTF-8", path);
    return REEL_OK;
}

void reel_inspect_print_checkpoint(json_t *report, FILE *to)
{
    char bytes[REEL_INSPECT_BYTES_TEXT], when[64] = "";
    time_t saved = (time_t)reel_inspect_integer(report, "saved_at");
    struct tm date;
    if (gmtime_r(&saved, &date))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &date);
    const char *job = reel_inspect_string(report, "job");
    fprintf(to, "%s: checkpoint %lld of reel, intact\n", reel_inspect_string(report, "path"),
            (long long)reel_inspect_integer(report, "generation"));
    reel_inspect_line(to, "saved", "%s, %s", when,
                      reel_inspect_bytes(reel_inspect_integer(report, "bytes"), bytes));
    reel_inspect_line(to, "complete", "%s", json_is_true(json_object_get(report, "complete")) ? "yes" : "no");
    reel_inspect_line(to, "resumes at",
                      "chunk %lld, iteration %lld (%lld iterations done, started %lld time%s)",
                      (long long)reel_inspect_integer(report, "chunk"),
                      (long long)reel_inspect_integer(report, "iteration"),
                      (long long)reel_inspect_integer(report, "iterations_done"),
                      (long long)reel_inspect_integer(report, "attempts"),
                      reel_inspect_integer(report, "attempts") == 1 ? "" : "s");
    reel_inspect_line(to, "finished", "%lld latent frames of [%lld, frames, %lld, %lld]",
                      (long long)reel_inspect_integer(report, "finished_latent_frames"),
                      (long long)reel_inspect_integer(report, "channels"),
                      (long long)reel_inspect_integer(report, "rows"),
                      (long long)reel_inspect_integer(report, "columns"));
    reel_inspect_line(
        to, "written by", "cfg %lld, ring %lld, ulysses %lld, tensor %lld, %s weights",
        (long long)reel_inspect_integer(report, "cfg"), (long long)reel_inspect_integer(report, "ring"),
        (long long)reel_inspect_integer(report, "ulysses"), (long long)reel_inspect_integer(report, "tensor"),
        json_is_true(json_object_get(report, "gathered")) ? "gathered" : "resident");
    reel_inspect_line(to, "weights", "hash %s", reel_inspect_string(report, "weights"));
    if (job[0])
        fprintf(to, "\n%s\n%s", job, reel_inspect_string(report, "fingerprint"));
}
