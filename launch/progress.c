/* Progress as plain lines. */
#include "progress.h"

#include <stdio.h>

enum { TIME_BYTES = 32 };

/* 75 -> "1m15s". */
static const char *spoken(double seconds, char text[TIME_BYTES])
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
    int64_t bytes = 0;
    for (int b = 0; b < REEL_BUFFERS; b++)
        bytes += reel_plan_bytes(plan, rank, (enum reel_buffer)b);
    return bytes;
}

void reel_progress(const struct reel_event *event)
{
    char left[TIME_BYTES];
    switch (event->kind) {
    case REEL_EVENT_PLAN:
        printf("reel %s: %lld rank%s x %lld thread%s (ulysses %lld), %lld chunk%s, %lld iterations, %.2f GB "
               "a rank\n",
               REEL_VERSION, (long long)event->plan->ranks, event->plan->ranks == 1 ? "" : "s",
               (long long)event->threads, event->threads == 1 ? "" : "s",
               (long long)event->plan->mesh.ulysses, (long long)event->chunks, event->chunks == 1 ? "" : "s",
               (long long)event->iterations, (double)rank_bytes(event->plan, 0) * 1e-9);
        break;
    case REEL_EVENT_WEIGHTS:
        printf("weights: %.2f GB in %.1f s\n", (double)event->bytes * 1e-9, event->seconds);
        break;
    case REEL_EVENT_STEP:
        printf("chunk %lld/%lld  iteration %lld/%lld  %.2f s  %s left\n", (long long)event->chunk + 1,
               (long long)event->chunks, (long long)event->iteration + 1, (long long)event->of,
               event->seconds, spoken(event->seconds_left, left));
        break;
    case REEL_EVENT_CHUNK:
        printf("chunk %lld/%lld  done in %.1f s, %lld latent frames finished and written\n",
               (long long)event->chunk + 1, (long long)event->chunks, event->seconds,
               (long long)event->finished_frames);
        break;
    case REEL_EVENT_NOTE:
        printf("note: %s\n", event->text);
        break;
    case REEL_EVENT_DONE:
        printf("done: %lld latent frames in %s\n", (long long)event->finished_frames,
               spoken(event->seconds, left));
        break;
    }
    fflush(stdout);
}
