/* The trace that is recorded while other threads compute: lanes, room, the clock of a device, and the JSON
 * text made of it. */
#include "profile_text.h"
#include "span.h"
#include "test.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 500, EVENTS = 6 };

/* A fake device that reaches an event every millisecond, beginning at one second, and records six events. */
static int64_t recorded;

static int64_t event(struct reel_stream *stream)
{
    return stream->queue && recorded < EVENTS ? recorded++ : -1;
}

static int64_t event_ns(int64_t at)
{
    return 1000000000 + 1000000 * at;
}

static char ranges[256];

static void range_push(const char *name)
{
    snprintf(ranges + strlen(ranges), sizeof ranges - strlen(ranges), "(%s", name);
}

static void range_pop(void)
{
    snprintf(ranges + strlen(ranges), sizeof ranges - strlen(ranges), ")");
}

static const struct reel_ops device = {
    .name = "device", .event = event, .event_ns = event_ns, .range_push = range_push, .range_pop = range_pop};
static const struct reel_ops host = {.name = "host", .is_host = 1};

static int64_t begin(enum reel_trace_kind kind, const char *name)
{
    return reel_trace_begin(&(struct reel_trace_what){.kind = kind, .name = name});
}

static void open_for(int64_t spans)
{
    CHECK(reel_trace_open(spans) == REEL_OK, "%s", reel_error_here()->cause);
    reel_trace_start();
}

/* The text as JSON: {"events": [...], "summary": {...}}. */
static json_t *text_of(const struct reel_ops *ops)
{
    static const int64_t planned[REEL_TRAFFIC_CLASSES] = {
        [REEL_TRAFFIC_KEYS] = 96, [REEL_TRAFFIC_WEIGHTS] = 7};
    struct reel_profile_rank rank = {.rank = 3,
                                     .device = "host \"a\"",
                                     .ops = ops,
                                     .began_ns = 900000000,
                                     .ended_ns = 1900000000,
                                     .ahead_ns = -5,
                                     .trip_ns = 20,
                                     .planned_bytes = planned};
    struct reel_profile_text text;
    json_error_t error;
    CHECK(reel_profile_text(&rank, &text) == REEL_OK, "%s", reel_error_here()->cause);
    size_t bytes = strlen(text.events) + strlen(text.summary) + 64;
    char *whole = malloc(bytes);
    snprintf(whole, bytes, "{\"events\":[%s],\"summary\":%s}", text.events, text.summary);
    json_t *root = json_loads(whole, 0, &error);
    CHECK(root, "no JSON: %s", error.text);
    free(whole);
    free(text.events);
    free(text.summary);
    return root;
}

static json_t *named(const json_t *root, const char *name, const char *category)
{
    size_t i;
    json_t *event, *events = json_object_get(root, "events");
    json_array_foreach(events, i, event)
    {
        const char *found = json_string_value(json_object_get(event, "cat"));
        if (found && strcmp(found, category) == 0 &&
            strcmp(json_string_value(json_object_get(event, "name")), name) == 0)
            return event;
    }
    return NULL;
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* A number of the summary's entry with this kind and name. */
static double sum(const json_t *root, const char *kind, const char *name, const char *key)
{
    return number(json_object_get(json_object_get(json_object_get(root, "summary"), kind), name), key);
}

static int is(double found, double expected)
{
    double difference = found - expected;
    return difference < 1e-9 && difference > -1e-9;
}

static void nothing_is_recorded_while_nobody_asks(void)
{
    int64_t count, lost;
    CHECK(begin(REEL_TRACE_WAIT, "early") == -1, "recorded without memory");
    CHECK(reel_trace_open(4) == REEL_OK && begin(REEL_TRACE_WAIT, "early") == -1, "recorded before start");
    reel_trace_start();
    CHECK(begin(REEL_TRACE_WAIT, "in time") == 0, "not recorded after start");
    reel_trace_stop();
    CHECK(begin(REEL_TRACE_WAIT, "late") == -1, "recorded after stop");
    reel_trace_end(-1);
    reel_trace_spans(&count, &lost);
    CHECK(count == 1 && lost == 0, "%lld spans, %lld lost", (long long)count, (long long)lost);
    reel_trace_close();
    reel_trace_start();
    CHECK(!reel_trace_is_on() && begin(REEL_TRACE_WAIT, "closed") == -1, "recorded after close");
    CHECK(reel_trace_open(INT64_MAX / 2) == REEL_NO_MEMORY, "there is memory for everything");
    reel_error_clear();
}

static void a_span_that_finds_no_room_is_counted(void)
{
    int64_t count, lost;
    open_for(3);
    for (int i = 0; i < 5; i++)
        reel_trace_end(begin(REEL_TRACE_WAIT, "agree"));
    begin(REEL_TRACE_WAIT, "agree");
    reel_trace_stop();
    const struct reel_trace_span *spans = reel_trace_spans(&count, &lost);
    CHECK(count == 3 && lost == 3, "%lld spans, %lld lost", (long long)count, (long long)lost);
    CHECK(spans[2].end_ns >= spans[2].begin_ns && spans[1].end_ns <= spans[2].begin_ns, "times are mixed up");
    json_t *root = text_of(&host);
    CHECK(is(number(json_object_get(root, "summary"), "lost_spans"), 3), "it is not said");
    CHECK(is(sum(root, "waits", "agree", "calls"), 3), "not three waits");
    json_decref(root);
    reel_trace_close();
}

static void a_span_that_has_not_ended_is_left_out(void)
{
    open_for(4);
    begin(REEL_TRACE_WAIT, "endless");
    reel_trace_end(begin(REEL_TRACE_WAIT, "short"));
    reel_trace_stop();
    json_t *root = text_of(&host);
    CHECK(named(root, "short", "wait") && !named(root, "endless", "wait"), "drawn, or nothing is");
    CHECK(is(number(json_object_get(root, "summary"), "spans"), 1), "counted");
    json_decref(root);
    reel_trace_close();
}

static void *work(void *name)
{
    reel_trace_thread(name);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t outer = begin(REEL_TRACE_PART, "outer"), inner = begin(REEL_TRACE_OPERATION, name);
        reel_trace_end(inner);
        reel_trace_end(outer);
    }
    return NULL;
}

static void threads_have_lanes_of_their_own(void)
{
    static char names[THREADS][8] = {"red", "green", "blue", "grey"};
    pthread_t threads[THREADS];
    int64_t count, lost, mixed = 0, apart = 0, of_lane[THREADS] = {0};
    open_for(2 * THREADS * ROUNDS);
    for (int t = 0; t < THREADS; t++)
        pthread_create(&threads[t], NULL, work, names[t]);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    reel_trace_stop();
    const struct reel_trace_span *spans = reel_trace_spans(&count, &lost), *outer[THREADS] = {NULL};
    CHECK(count == 2 * THREADS * ROUNDS && lost == 0, "%lld spans, %lld lost", (long long)count,
          (long long)lost);
    for (int64_t i = 0; i < count; i++) {
        int32_t lane = spans[i].lane;
        of_lane[lane]++;
        if (spans[i].kind == REEL_TRACE_PART) {
            outer[lane] = &spans[i];
            continue;
        }
        mixed += strcmp(spans[i].name, reel_trace_lane(lane)) != 0;
        apart += spans[i].begin_ns < outer[lane]->begin_ns || spans[i].end_ns > outer[lane]->end_ns;
    }
    CHECK(mixed == 0 && apart == 0, "%lld spans in others' lanes, %lld outside of what they are in",
          (long long)mixed, (long long)apart);
    for (int t = 0; t < THREADS; t++)
        CHECK(of_lane[t] == 2 * ROUNDS, "lane %d has %lld spans", t, (long long)of_lane[t]);
    CHECK(!reel_trace_lane(THREADS), "there are more lanes than threads");
    reel_trace_close();
}

/* Two operations, an exchange that finds only one event, and one that finds none. */
static void work_of_a_device_is_drawn_where_the_device_was(void)
{
    struct reel_stream stream = {.ops = &device, .queue = &recorded};
    struct reel_trace_what gemm = {
        .kind = REEL_TRACE_OPERATION, .name = "gemm", .numbers = {{"rows", 24}, {"in", 64}}};
    struct reel_trace_what keys = {
        .kind = REEL_TRACE_EXCHANGE, .name = "keys", .numbers = {{"sent", 48}, {"peers", 1}}};
    open_for(64);
    recorded = 0;
    struct reel_span part = reel_part_begin(&stream, "block %d", 7);
    for (int i = 0; i < 2; i++)
        reel_span_end(&stream, reel_span_begin(&stream, &gemm));
    for (int i = 0; i < 2; i++)
        reel_span_end(&stream, reel_span_begin(&stream, &keys));
    reel_part_end(&stream, part);
    reel_trace_stop();
    json_t *root = text_of(&device), *first = named(root, "gemm", "operation");
    CHECK(first && is(number(first, "ts"), 101000) && is(number(first, "dur"), 1000),
          "not from the second mark to the third");
    CHECK(first && is(number(json_object_get(first, "args"), "in"), 64), "its sizes are not there");
    json_t *issue = named(root, "gemm", "issue");
    CHECK(issue && first && number(issue, "tid") < number(first, "tid"),
          "issuing is not in the thread's lane");
    CHECK(named(root, "keys", "issue") && !named(root, "keys", "exchange"), "drawn at unknown times");
    CHECK(named(root, "block 7", "part") && number(named(root, "block 7", "part"), "pid") == 3, "no part");
    CHECK(is(sum(root, "operations", "gemm", "seconds"), 2e-3), "gemm: %g s",
          sum(root, "operations", "gemm", "seconds"));
    CHECK(is(sum(root, "exchanges", "keys", "sent_bytes"), 96) &&
              is(sum(root, "exchanges", "keys", "planned_bytes"), 96),
          "bytes of keys");
    CHECK(is(sum(root, "exchanges", "weights", "calls"), 0) &&
              is(sum(root, "exchanges", "weights", "planned_bytes"), 7),
          "what was planned and not sent is not there");
    CHECK(is(number(json_object_get(root, "summary"), "untimed_spans"), 3), "keys twice, and the block");
    json_decref(root);
    reel_trace_close();
}

static void parts_are_ranges_of_the_device_with_and_without_a_profile(void)
{
    struct reel_stream stream = {.ops = &device};
    ranges[0] = '\0';
    struct reel_span block = reel_part_begin(&stream, "block %d", 12),
                     inner = reel_part_begin(&stream, "head");
    reel_part_end(&stream, inner);
    reel_part_end(&stream, block);
    CHECK(strcmp(ranges, "(block 12(head))") == 0, "%s", ranges);
    stream.ops = &host;
    reel_part_end(&stream, reel_part_begin(&stream, "head"));
    CHECK(strcmp(ranges, "(block 12(head))") == 0, "the host has ranges: %s", ranges);
}

static void lanes_and_ranks_are_named(void)
{
    open_for(4);
    reel_trace_end(begin(REEL_TRACE_WAIT, "a name that is longer than a span has room for"));
    reel_trace_stop();
    json_t *root = text_of(&host), *events = json_object_get(root, "events");
    json_t *rank = json_array_get(events, 0), *lane = json_array_get(events, 1);
    CHECK(strcmp(json_string_value(json_object_get(json_object_get(rank, "args"), "name")),
                 "rank 3, host \"a\"") == 0,
          "the rank is not named");
    CHECK(strcmp(json_string_value(json_object_get(json_object_get(lane, "args"), "name")), "host") == 0,
          "the lane is not named");
    CHECK(named(root, "a name that is longer t", "wait"), "a long name is not cut");
    json_decref(root);
    reel_trace_close();
}

int main(void)
{
    RUN(nothing_is_recorded_while_nobody_asks);
    RUN(a_span_that_finds_no_room_is_counted);
    RUN(a_span_that_has_not_ended_is_left_out);
    RUN(threads_have_lanes_of_their_own);
    RUN(work_of_a_device_is_drawn_where_the_device_was);
    RUN(parts_are_ranges_of_the_device_with_and_without_a_profile);
    RUN(lanes_and_ranks_are_named);
    return test_end();
}
