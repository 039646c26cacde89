/* Events as JSON lines. */
#include "log.h"

#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

enum reel_status reel_log_open(struct reel_log *log, const char *path)
{
    *log = (struct reel_log){.path = path};
    if (!path[0])
        return REEL_OK;
    /* without blocking: opening a FIFO that no process reads is an error, instead of waiting for ever */
    int file = reel_fault(REEL_FAULT_LOG_OPEN)
                   ? -1
                   : open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0666);
    log->file = file < 0 ? NULL : fdopen(file, "a");
    REEL_NEED(log->file, REEL_BAD_OUTPUT, "%s: output.log cannot be opened for appending: %s", path,
              strerror(errno));
    return REEL_OK;
}

void reel_log_close(struct reel_log *log)
{
    if (log->file)
        fclose(log->file);
    log->file = NULL;
}

static json_t *by_category(const int64_t bytes[REEL_MEMORIES])
{
    json_t *object = json_object();
    int64_t total = 0;
    for (int m = 0; m < REEL_MEMORIES; m++) {
        json_object_set_new(object, reel_memory_name((enum reel_memory)m), json_integer(bytes[m]));
        total += bytes[m];
    }
    json_object_set_new(object, "total", json_integer(total));
    return object;
}

static json_t *by_class(const int64_t bytes[REEL_TRAFFIC_CLASSES])
{
    json_t *object = json_object();
    for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
        json_object_set_new(object, reel_traffic_class_name((enum reel_traffic_class)p),
                            json_integer(bytes[p]));
    return object;
}

static json_t *plan_line(const struct reel_event *event)
{
    const struct reel_plan *plan = event->plan;
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, event->plan_hash);
    json_t *memory = json_array();
    for (int64_t rank = 0; rank < plan->ranks; rank++) {
        int64_t bytes[REEL_MEMORIES];
        reel_memory_held(&reel_buffers, plan, rank, bytes);
        bytes[REEL_MEMORY_LIBRARIES] = event->libraries_bytes;
        json_array_append_new(memory, by_category(bytes));
    }
    return json_pack("{s:s, s:I, s:{s:I, s:I, s:I, s:I}, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "event",
                     "plan", "ranks", (json_int_t)plan->ranks, "mesh", "cfg", (json_int_t)plan->mesh.cfg,
                     "ring", (json_int_t)plan->mesh.ring, "ulysses", (json_int_t)plan->mesh.ulysses, "tensor",
                     (json_int_t)plan->mesh.tensor, "weights", plan->mesh.gathered ? "gathered" : "resident",
                     "why", event->text, "hash", hash, "room_bytes", (json_int_t)event->bytes, "threads",
                     (json_int_t)event->threads, "chunks", (json_int_t)event->chunks, "iterations",
                     (json_int_t)event->iterations, "memory", memory);
}

static double gigabytes_per_second(int64_t bytes, double seconds)
{
    return (double)bytes * 1e-9 / (seconds > 0 ? seconds : 1e-9);
}

static json_t *weights_line(const struct reel_event *event)
{
    json_t *ranks = json_array();
    for (int64_t rank = 0; rank < event->ranks; rank++) {
        const struct reel_loaded *loaded = &event->loaded[rank];
        json_array_append_new(ranks,
                              json_pack("{s:I, s:I, s:f, s:f}", "read_bytes", (json_int_t)loaded->read_bytes,
                                        "kept_bytes", (json_int_t)loaded->kept_bytes, "seconds",
                                        loaded->seconds, "gigabytes_per_second",
                                        gigabytes_per_second(loaded->read_bytes, loaded->seconds)));
    }
    return json_pack("{s:s, s:I, s:f, s:f, s:o}", "event", "weights", "bytes", (json_int_t)event->bytes,
                     "seconds", event->seconds, "gigabytes_per_second",
                     gigabytes_per_second(event->bytes, event->seconds), "ranks", ranks);
}

static json_t *step_line(const struct reel_event *event)
{
    json_t *computed = json_array();
    for (int branch = 0; branch < 2; branch++)
        if (event->computed[branch] >= 0)
            json_array_append_new(computed, json_boolean(event->computed[branch]));
    return json_pack("{s:s, s:I, s:I, s:I, s:f, s:o, s:f}", "event", "step", "chunk",
                     (json_int_t)event->chunk, "iteration", (json_int_t)event->iteration, "of",
                     (json_int_t)event->of, "seconds", event->seconds, "computed", computed, "seconds_left",
                     event->seconds_left);
}

static json_t *savings_of(const struct reel_event *event)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < event->saving_count; i++) {
        const struct reel_saving *saving = &event->savings[i];
        json_array_append_new(list, json_pack("{s:I, s:I, s:I, s:I, s:f}", "chunk", (json_int_t)saving->chunk,
                                              "branch", (json_int_t)saving->branch, "computed",
                                              (json_int_t)saving->computed, "skipped",
                                              (json_int_t)saving->skipped, "seconds_saved", saving->seconds));
    }
    return list;
}

static json_t *done_line(const struct reel_event *event)
{
    json_t *sent = json_array();
    for (int64_t rank = 0; rank < event->ranks; rank++)
        json_array_append_new(sent, json_pack("{s:o, s:o}", "plan",
                                              by_class(event->reports[rank].planned_sent_bytes), "counted",
                                              by_class(event->reports[rank].sent_bytes)));
    return json_pack("{s:s, s:f, s:I, s:o, s:o}", "event", "done", "seconds", event->seconds,
                     "finished_frames", (json_int_t)event->finished_frames, "teacache", savings_of(event),
                     "communication", sent);
}

static json_t *checkpoint_line(const struct reel_event *event)
{
    int saved = event->bytes > 0;
    json_t *line = json_pack("{s:s, s:b, s:I, s:I, s:s, s:s, s:I, s:f}", "event", "checkpoint", "saved",
                             saved, "chunk", (json_int_t)event->chunk, "iteration",
                             (json_int_t)event->iteration, "why", event->why, saved ? "file" : "cause",
                             event->text, "bytes", (json_int_t)event->bytes, "seconds", event->seconds);
    if (event->notice_seconds >= 0)
        json_object_set_new(line, "seconds_since_notice", json_real(event->notice_seconds));
    return line;
}

static json_t *memory_line(const struct reel_report *report, int64_t rank)
{
    return json_pack("{s:s, s:I, s:o, s:o, s:I}", "event", "memory", "rank", (json_int_t)rank, "plan",
                     by_category(report->planned_bytes), "peak", by_category(report->peak_bytes),
                     "process_peak", (json_int_t)report->process_peak_bytes);
}

/* Adds the time to the line, writes it and frees it. */
static void write_line(struct reel_log *log, json_t *line)
{
    json_object_set_new(line, "time", json_integer((json_int_t)time(NULL)));
    int failed = !line || json_dumpf(line, log->file, JSON_COMPACT) != 0 || fputc('\n', log->file) == EOF ||
                 fflush(log->file) != 0;
    if (failed && !log->complained) {
        fprintf(stderr, "reel: warning: %s: a line of output.log could not be written: %s\n", log->path,
                strerror(errno));
        log->complained = 1;
    }
    json_decref(line);
}

void reel_log_event(struct reel_log *log, const struct reel_event *event)
{
    if (!log->file)
        return;
    switch (event->kind) {
    case REEL_EVENT_PLAN:
        write_line(log, plan_line(event));
        break;
    case REEL_EVENT_LOADING:
        break;
    case REEL_EVENT_WEIGHTS:
        write_line(log, weights_line(event));
        break;
    case REEL_EVENT_STEP:
        write_line(log, step_line(event));
        break;
    case REEL_EVENT_CHUNK:
        write_line(log, json_pack("{s:s, s:I, s:I, s:I, s:f, s:o}", "event", "chunk", "chunk",
                                  (json_int_t)event->chunk, "of", (json_int_t)event->chunks,
                                  "finished_frames", (json_int_t)event->finished_frames, "seconds",
                                  event->seconds, "teacache", savings_of(event)));
        break;
    case REEL_EVENT_CHECKPOINT:
        write_line(log, checkpoint_line(event));
        break;
    case REEL_EVENT_DEVICE:
        write_line(log, json_pack("{s:s, s:I, s:s}", "event", "place", "rank", (json_int_t)event->rank,
                                  "place", event->text));
        break;
    case REEL_EVENT_NOTE:
        write_line(log, json_pack("{s:s, s:s}", "event", "note", "text", event->text));
        break;
    case REEL_EVENT_DONE:
        for (int64_t rank = 0; rank < event->ranks; rank++)
            write_line(log, memory_line(&event->reports[rank], rank));
        write_line(log, done_line(event));
        break;
    }
}

void reel_log_error(struct reel_log *log, const struct reel_error *error)
{
    if (log->file)
        write_line(log, json_pack("{s:s, s:i, s:s}", "event",
                                  error->status == REEL_PREEMPTED ? "preempted" : "error", "status",
                                  (int)error->status, "cause", error->cause));
}
