/* The shadow's extents and clocks against a byte-by-byte record of random operations: an operation that the
 * record allows passes, and one that it refuses aborts, at that byte. */
#include "shadow.h"

#include "child.h"
#include "test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { STREAMS = 5, BYTES = 160, STEPS = 1500, NOBODY = -1 };

/* done[s][t] and host[t]: the last operation of stream t that has ended before the next one of stream s, and
 * as the host knows. For every byte, its last writer, and its last reader of every stream. */
static struct {
    int64_t issued[STREAMS];
    int64_t done[STREAMS][STREAMS], host[STREAMS];
    struct {
        int writer;
        int64_t written, read[STREAMS];
    } byte[BYTES];
} record;

static struct reel_stream streams[STREAMS];
static char *device;
static uint32_t state;

/* The next operation. */
static struct {
    int stream, writes;
    struct reel_shadow_range range;
} next;

static int64_t drawn(int64_t below)
{
    state = state * 1664525u + 1013904223u;
    return (int64_t)((uint64_t)(state >> 8) * (uint64_t)below >> 24);
}

static void join(int64_t *clock, const int64_t *other)
{
    for (int s = 0; s < STREAMS; s++)
        clock[s] = clock[s] > other[s] ? clock[s] : other[s];
}

static void order_or_wait(void)
{
    int s = (int)drawn(STREAMS), t = (int)drawn(STREAMS);
    if (drawn(6) > 0) {
        reel_stream_wait(&streams[s], &streams[t]);
        join(record.done[s], record.host);
        join(record.done[t], record.host);
        join(record.done[s], record.done[t]);
    } else {
        reel_finish(&streams[s]);
        join(record.host, record.done[s]);
    }
}

/* Draws the next operation, on a range of up to five rows within the region. */
static void draw(void)
{
    int64_t rows = 1 + drawn(5), row_bytes = 1 + drawn(20), stride = row_bytes + drawn(12);
    while ((rows - 1) * stride + row_bytes > BYTES)
        rows--;
    next.stream = (int)drawn(STREAMS);
    next.writes = drawn(2) > 0;
    next.range = (struct reel_shadow_range){.name = "bytes",
                                            .at = device + drawn(BYTES - (rows - 1) * stride - row_bytes + 1),
                                            .rows = rows,
                                            .row_bytes = row_bytes,
                                            .stride_bytes = stride};
}

/* The first byte that the record refuses, and in *words how the message ends; or NOBODY. */
static int64_t refused(const char **words)
{
    int64_t *done = record.done[next.stream], start = (const char *)next.range.at - device;
    join(done, record.host);
    for (int64_t r = 0; r < next.range.rows; r++)
        for (int64_t i = 0; i < next.range.row_bytes; i++) {
            int64_t at = start + r * next.range.stride_bytes + i;
            int writer = record.byte[at].writer;
            *words = "which nobody has written";
            if (writer == NOBODY && !next.writes)
                return at;
            *words = "may still write";
            if (writer != NOBODY && record.byte[at].written > done[writer])
                return at;
            *words = "may still read";
            for (int s = 0; next.writes && s < STREAMS; s++)
                if (record.byte[at].read[s] > done[s])
                    return at;
        }
    return NOBODY;
}

static void touch(void)
{
    reel_shadow_touch(&streams[next.stream], "touch", &next.range, !next.writes, &next.range, next.writes);
}

static void take_note(void)
{
    int64_t now = record.done[next.stream][next.stream] = ++record.issued[next.stream];
    for (int64_t r = 0; r < next.range.rows; r++)
        for (int64_t i = 0; i < next.range.row_bytes; i++) {
            int64_t at = (const char *)next.range.at - device + r * next.range.stride_bytes + i;
            if (next.writes) {
                memset(&record.byte[at], 0, sizeof record.byte[at]);
                record.byte[at].writer = next.stream;
                record.byte[at].written = now;
            } else {
                record.byte[at].read[next.stream] = now;
            }
        }
}

/* Fresh memory, streams and record. */
static void begin(uint32_t seed)
{
    state = seed;
    memset(&record, 0, sizeof record);
    for (int i = 0; i < BYTES; i++)
        record.byte[i].writer = NOBODY;
    device = reel_ops_shadow.allocate(BYTES);
    for (int s = 0; s < STREAMS; s++)
        reel_stream_open_side(&streams[s], &reel_ops_shadow);
}

static void end(void)
{
    for (int s = 0; s < STREAMS; s++)
        reel_stream_close(&streams[s]);
    reel_ops_shadow.release(device, BYTES);
}

/* Legal operations run; of the others, every twentieth is tried in a child process. */
static void it_refuses_what_the_record_refuses(void)
{
    int64_t passed = 0, tried = 0;
    for (uint32_t seed = 1; seed <= 8; seed++) {
        begin(seed);
        for (int step = 0; step < STEPS; step++) {
            const char *words = "";
            if (drawn(3) == 0)
                order_or_wait();
            draw();
            int64_t byte = refused(&words);
            if (byte == NOBODY) {
                touch();
                take_note();
                passed++;
            } else if (drawn(20) == 0) {
                char expected[64];
                snprintf(expected, sizeof expected, "bytes at byte %lld of its region", (long long)byte);
                struct child child;
                child_run(touch, &child);
                CHECK(child.signal == SIGABRT && strstr(child.words, expected) && strstr(child.words, words),
                      "seed %u, step %d: signal %d, '%s', expected '%s' and '%s'", seed, step, child.signal,
                      child.words, expected, words);
                tried++;
            }
        }
        end();
    }
    CHECK(passed > 3000 && tried > 100, "%lld passed, %lld were refused", (long long)passed,
          (long long)tried);
    printf("%lld passed, %lld were refused\n", (long long)passed, (long long)tried);
}

int main(void)
{
    RUN(it_refuses_what_the_record_refuses);
    return test_end();
}
