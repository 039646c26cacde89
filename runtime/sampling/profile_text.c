/* Spans as JSON. */
#include "profile_text.h"

#include "trace.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUMS = 128 };

static const char *const kinds[] = {[REEL_TRACE_OPERATION] = "operation",
                                    [REEL_TRACE_EXCHANGE] = "exchange",
                                    [REEL_TRACE_WAIT] = "wait",
                                    [REEL_TRACE_PART] = "part"};

/* The sums over all spans of one kind and name. */
struct sum {
    enum reel_trace_kind kind;
    const char *name;
    int64_t calls, ns, sent_bytes;
};

struct sums {
    struct sum all[SUMS];
    int64_t count, recorded, unmarked; /* unmarked: spans of device work that the device has not timed */
};

/* Where and when a span is drawn. */
struct device {
    int64_t lane, begin_ns, end_ns;
    const char *category;
};

static void write_event(FILE *out, const struct reel_profile_rank *rank, const struct reel_trace_span *span,
                        const struct device *device)
{
    const char *comma = "";
    fprintf(
        out,
        ",\n{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":%lld,\"tid\":%lld,\"ts\":%.3f,\"dur\":%.3f,"
        "\"args\":{",
        span->name, device->category, (long long)rank->rank, (long long)device->lane,
        1e-3 * (double)(device->begin_ns - rank->began_ns),
        1e-3 * (double)(device->end_ns - device->begin_ns));
    for (int n = 0; n < REEL_TRACE_NUMBERS && span->numbers[n].label; n++, comma = ",")
        fprintf(out, "%s\"%s\":%lld", comma, span->numbers[n].label, (long long)span->numbers[n].value);
    fputs("}}", out);
}

/* When the device did the span's work; 0 if that is not known. */
static int place_on_device(const struct reel_profile_rank *rank, const struct reel_trace_span *span,
                           struct device *device)
{
    if (span->device_lane < 0 || span->event[0] < 0 || span->event[1] < 0)
        return 0;
    *device = (struct device){.lane = span->device_lane,
                              .begin_ns = rank->ops->event_ns(span->event[0]),
                              .end_ns = rank->ops->event_ns(span->event[1]),
                              .category = kinds[span->kind]};
    return device->begin_ns >= 0 && device->end_ns >= device->begin_ns;
}

/* The bytes that the span sent; 0 for exchanges that are not planned, which do not record them. */
static int64_t sent_bytes(const struct reel_trace_span *span)
{
    for (int n = 0; n < REEL_TRACE_NUMBERS && span->numbers[n].label; n++)
        if (strcmp(span->numbers[n].label, "sent") == 0)
            return span->numbers[n].value;
    return 0;
}

static void add_span(struct sums *sums, const struct reel_trace_span *span, int64_t ns)
{
    int64_t at = 0;
    while (at < sums->count &&
           (sums->all[at].kind != span->kind || strcmp(sums->all[at].name, span->name) != 0))
        at++;
    if (at == SUMS)
        return;
    if (at == sums->count)
        sums->all[sums->count++] = (struct sum){.kind = span->kind, .name = span->name};
    sums->all[at].calls++;
    sums->all[at].ns += ns;
    sums->all[at].sent_bytes += sent_bytes(span);
}

/* A span's one or two events. Parts have the same category in both lanes. */
static void write_span(FILE *out, const struct reel_profile_rank *rank, const struct reel_trace_span *span,
                       struct sums *sums)
{
    struct device host = {span->lane, span->begin_ns, span->end_ns, kinds[span->kind]}, device;
    int is_issued = span->device_lane >= 0, is_timed = place_on_device(rank, span, &device);
    int64_t ns = is_issued ? 0 : host.end_ns - host.begin_ns;
    if (span->end_ns == 0) /* the span had not ended */
        return;
    if (is_issued && span->kind != REEL_TRACE_PART)
        host.category = "issue";
    write_event(out, rank, span, &host);
    if (is_timed) {
        write_event(out, rank, span, &device);
        ns = device.end_ns - device.begin_ns;
    }
    sums->recorded++;
    sums->unmarked += is_issued && !is_timed;
    if (span->kind != REEL_TRACE_PART)
        add_span(sums, span, ns);
}

/* Names the rank or a lane. */
static void write_name(FILE *out, const char *before, const char *what, int64_t rank, int64_t lane,
                       const char *name)
{
    json_t *event = json_pack("{s:s, s:s, s:I, s:I, s:{s:s}}", "name", what, "ph", "M", "pid",
                              (json_int_t)rank, "tid", (json_int_t)lane, "args", "name", name);
    char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;
    if (text)
        fprintf(out, "%s%s", before, text);
    free(text);
    json_decref(event);
}

static void write_names(FILE *out, const struct reel_profile_rank *rank)
{
    char name[640];
    snprintf(name, sizeof name, "rank %lld, %s", (long long)rank->rank, rank->device);
    write_name(out, "", "process_name", rank->rank, 0, name);
    for (int64_t lane = 0; reel_trace_lane(lane); lane++)
        write_name(out, ",\n", "thread_name", rank->rank, lane, reel_trace_lane(lane));
}

static json_t *object_of(const struct sums *sums, enum reel_trace_kind kind, const int64_t *planned_bytes)
{
    json_t *object = json_object();
    for (int64_t i = 0; i < sums->count; i++) {
        const struct sum *sum = &sums->all[i];
        if (sum->kind != kind)
            continue;
        json_t *one =
            json_pack("{s:I, s:f}", "calls", (json_int_t)sum->calls, "seconds", 1e-9 * (double)sum->ns);
        if (kind == REEL_TRACE_EXCHANGE)
            json_object_set_new(one, "sent_bytes", json_integer((json_int_t)sum->sent_bytes));
        json_object_set_new(object, sum->name, one);
    }
    for (int p = 0; planned_bytes && p < REEL_TRAFFIC_CLASSES; p++) {
        json_t *one = json_object_get(object, reel_traffic_class_name((enum reel_traffic_class)p));
        if (!one && planned_bytes[p] > 0) { /* planned, but not recorded */
            one = json_pack("{s:i, s:f, s:i}", "calls", 0, "seconds", 0.0, "sent_bytes", 0);
            json_object_set_new(object, reel_traffic_class_name((enum reel_traffic_class)p), one);
        }
        if (one)
            json_object_set_new(one, "planned_bytes", json_integer((json_int_t)planned_bytes[p]));
    }
    return object;
}

static char *summary_of(const struct reel_profile_rank *rank, const struct sums *sums, int64_t lost)
{
    json_t *object =
        json_pack("{s:I, s:s, s:s, s:f, s:I, s:I, s:I, s:{s:f, s:f}, s:o, s:o, s:o}", "rank",
                  (json_int_t)rank->rank, "place", rank->device, "backend", rank->ops->name, "seconds",
                  1e-9 * (double)(rank->ended_ns - rank->began_ns), "spans", (json_int_t)sums->recorded,
                  "lost_spans", (json_int_t)lost, "untimed_spans", (json_int_t)sums->unmarked, "clock",
                  "ahead_seconds", 1e-9 * (double)rank->ahead_ns, "trip_seconds",
                  1e-9 * (double)rank->trip_ns, "operations", object_of(sums, REEL_TRACE_OPERATION, NULL),
                  "exchanges", object_of(sums, REEL_TRACE_EXCHANGE, rank->planned_bytes), "waits",
                  object_of(sums, REEL_TRACE_WAIT, NULL));
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    return text;
}

enum reel_status reel_profile_text(const struct reel_profile_rank *rank, struct reel_profile_text *text)
{
    int64_t count, lost;
    size_t bytes;
    struct sums sums = {.count = 0};
    const struct reel_trace_span *spans = reel_trace_spans(&count, &lost);
    *text = (struct reel_profile_text){.events = NULL};
    FILE *out = open_memstream(&text->events, &bytes);
    if (out) {
        write_names(out, rank);
        for (int64_t i = 0; i < count; i++)
            write_span(out, rank, &spans[i], &sums);
        int failed = ferror(out);
        if ((fclose(out) == 0 && !failed))
            text->summary = summary_of(rank, &sums, lost);
    }
    if (text->summary)
        return REEL_OK;
    free(text->events);
    text->events = NULL;
    return reel_fail(REEL_NO_MEMORY, "no memory for the text of a profile of %lld spans", (long long)count);
}
