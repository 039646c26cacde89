/* Progress as lines, or as a bar. */
#include "progress.h"

#include "choose.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { TIME_BYTES = 32, BAR_MAX = 60, BAR_MIN = 8, COLUMNS_MIN = 20, LINE_BYTES = 512, SECONDS_A_LINE = 10 };

struct reel_progress reel_progress_open(void)
{
    struct winsize size = {0};
    const char *told = getenv("REEL_TERMINAL_COLUMNS");
    int columns = 0, behind_mpirun = reel_launched_rank() >= 0; /* mpirun gives its ranks pseudo-terminals */
    if (!behind_mpirun && isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        columns = size.ws_col > 0 ? size.ws_col : 80;
    else if (told)
        columns = atoi(told);
    return (struct reel_progress){.columns = columns >= COLUMNS_MIN ? columns : 0,
                                  .next_line_seconds = SECONDS_A_LINE};
}

/* 75 -> "1m15s". */
static const char *format_duration(double seconds, char text[TIME_BYTES])
{
    long long s = (long long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, TIME_BYTES, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(text, TIME_BYTES, "%lldm%02llds", s / 60, s % 60);
    else
        snprintf(text, TIME_BYTES, "%llds", s);
    return text;
}

static int64_t rank_bytes(const struct reel_plan *plan, int64_t rank)
{
    int64_t held[REEL_MEMORIES], bytes = 0;
    reel_memory_held(&reel_buffers, plan, rank, held);
    for (int m = 0; m < REEL_MEMORIES; m++)
        bytes += held[m];
    return bytes;
}

/* The seconds that loading still takes, estimated from its speed so far; rough at the start. */
static double loading_left(const struct reel_event *event)
{
    return event->done > 0 ? event->seconds * (double)(event->all - event->done) / (double)event->done : 0;
}

/* Writes head[====>    ]tail, with a bar as wide as the columns allow. */
static void format_bar(const char *head, const char *tail, int64_t done, int64_t all, int columns, char *text,
                       int bytes)
{
    char bar[BAR_MAX + 1];
    int room =
        columns - (int)strlen(head) - (int)strlen(tail) - 3; /* the brackets; the last column stays free */
    if (room > BAR_MAX)
        room = BAR_MAX;
    if (room < BAR_MIN) {
        snprintf(text, (size_t)bytes, "%s%s", head, tail + 1);
        if (columns < bytes)
            text[columns - 1] = '\0';
        return;
    }
    int filled = (int)(all > 0 ? room * done / all : 0);
    memset(bar, ' ', (size_t)room);
    memset(bar, '=', (size_t)filled);
    if (filled > 0 && filled < room)
        bar[filled - 1] = '>';
    bar[room] = '\0';
    snprintf(text, (size_t)bytes, "%s[%s]%s", head, bar, tail);
}

void reel_progress_bar(const struct reel_event *event, int columns, char *text, int bytes)
{
    char head[64], tail[128], left[TIME_BYTES];
    if (event->kind == REEL_EVENT_LOADING) {
        snprintf(tail, sizeof tail, " %lld/%lld  %s left", (long long)event->done, (long long)event->all,
                 format_duration(loading_left(event), left));
        format_bar("weights ", tail, event->done, event->all, columns, text, bytes);
        return;
    }
    int64_t done = event->iteration + 1;
    snprintf(head, sizeof head, "chunk %lld/%lld ", (long long)event->chunk + 1, (long long)event->chunks);
    snprintf(tail, sizeof tail, " %lld/%lld  %.3g s/it  job: %s left", (long long)done, (long long)event->of,
             event->seconds, format_duration(event->seconds_left, left));
    format_bar(head, tail, done, event->of, columns, text, bytes);
}

void reel_progress_close(struct reel_progress *progress)
{
    if (progress->bar_is_drawn)
        putchar('\n');
    progress->bar_is_drawn = 0;
    fflush(stdout);
}

static void redraw_bar(struct reel_progress *progress, const struct reel_event *event)
{
    char text[LINE_BYTES];
    reel_progress_bar(event, progress->columns, text, sizeof text);
    printf("\r%s\033[K", text);
    progress->bar_is_drawn = 1;
}

static void print_step(struct reel_progress *progress, const struct reel_event *event)
{
    char left[TIME_BYTES];
    if (progress->columns > 0)
        redraw_bar(progress, event);
    else
        printf("chunk %lld/%lld  iteration %lld/%lld  %.2f s  %s left\n", (long long)event->chunk + 1,
               (long long)event->chunks, (long long)event->iteration + 1, (long long)event->of,
               event->seconds, format_duration(event->seconds_left, left));
}

/* Without a terminal: one line every ten seconds. */
static void print_loading(struct reel_progress *progress, const struct reel_event *event)
{
    char left[TIME_BYTES];
    if (progress->columns > 0) {
        redraw_bar(progress, event);
    } else if (event->seconds >= progress->next_line_seconds) {
        printf("weights: %lld%%, %s left\n", (long long)(100 * event->done / event->all),
               format_duration(loading_left(event), left));
        progress->next_line_seconds = event->seconds + SECONDS_A_LINE;
    }
}

/* Prints TeaCache's savings, if it skipped anything. */
static void print_savings(const struct reel_event *event)
{
    int64_t skipped = 0, computed = 0;
    double seconds = 0;
    for (int64_t i = 0; i < event->saving_count; i++) {
        skipped += event->savings[i].skipped;
        computed += event->savings[i].computed;
        seconds += event->savings[i].seconds;
    }
    if (skipped == 0)
        return;
    printf("teacache    computed  skipped  seconds saved\n");
    for (int64_t i = 0; i < event->saving_count; i++) {
        const struct reel_saving *saving = &event->savings[i];
        printf("chunk %lld, %c %9lld %8lld %14.1f\n", (long long)saving->chunk + 1,
               saving->branch == 0 ? '+' : '-', (long long)saving->computed, (long long)saving->skipped,
               saving->seconds);
    }
    printf("in all     %9lld %8lld %14.1f   (+ conditional, - unconditional)\n", (long long)computed,
           (long long)skipped, seconds);
}

void reel_progress_event(struct reel_progress *progress, const struct reel_event *event)
{
    char left[TIME_BYTES], mesh[REEL_MESH_TEXT_BYTES];
    if (event->kind != REEL_EVENT_STEP && event->kind != REEL_EVENT_LOADING && progress->bar_is_drawn) {
        printf("\r\033[K"); /* the next line replaces the bar */
        progress->bar_is_drawn = 0;
    }
    switch (event->kind) {
    case REEL_EVENT_PLAN:
        reel_mesh_text(&event->plan->mesh, mesh);
        printf("reel %s: %lld rank%s x %lld thread%s (%s), %lld chunk%s, %lld iterations, %.2f GB a rank\n",
               REEL_VERSION, (long long)event->plan->ranks, event->plan->ranks == 1 ? "" : "s",
               (long long)event->threads, event->threads == 1 ? "" : "s", mesh, (long long)event->chunks,
               event->chunks == 1 ? "" : "s", (long long)event->iterations,
               (double)rank_bytes(event->plan, 0) * 1e-9);
        break;
    case REEL_EVENT_LOADING:
        print_loading(progress, event);
        break;
    case REEL_EVENT_WEIGHTS:
        printf("weights: %.2f GB in %.1f s\n", (double)event->bytes * 1e-9, event->seconds);
        break;
    case REEL_EVENT_STEP:
        print_step(progress, event);
        break;
    case REEL_EVENT_CHUNK:
        printf("chunk %lld/%lld  done in %s, %lld of %lld latent frames finished and written\n",
               (long long)event->chunk + 1, (long long)event->chunks, format_duration(event->seconds, left),
               (long long)event->finished_frames, (long long)event->plan->work.video_frames);
        break;
    case REEL_EVENT_CHECKPOINT:
        if (event->bytes > 0)
            printf("checkpoint: %.1f MB saved in %.2f s\n", (double)event->bytes * 1e-6, event->seconds);
        else
            printf("warning: no checkpoint could be saved: %s\n", event->text);
        break;
    case REEL_EVENT_DEVICE:
        printf("rank %lld: %s\n", (long long)event->rank, event->text);
        break;
    case REEL_EVENT_NOTE:
        printf("%s%s\n", strncmp(event->text, "warning: ", 9) == 0 ? "" : "note: ", event->text);
        break;
    case REEL_EVENT_DONE:
        print_savings(event);
        printf("done: %lld latent frames in %s\n", (long long)event->finished_frames,
               format_duration(event->seconds, left));
        break;
    }
    fflush(stdout);
}
