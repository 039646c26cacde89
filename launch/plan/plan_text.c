/* A forecast as text. */
#include "plan_forecast.h"

#include <stdio.h>
#include <string.h>

/* Prints a value in 9 columns: three decimals below 10, two below 100, else one. */
static void print_number(double value)
{
    printf(" %9.*f", value < 10 ? 3 : value < 100 ? 2 : 1, value);
}

static void print_gigabytes(int64_t bytes)
{
    print_number((double)bytes * 1e-9);
}

/* A column's name, shortened to at most nine letters. */
static const char *heading(const char *name)
{
    static const char *const shorter[][2] = {{"activations", "activat."},
                                             {"communication", "communic."},
                                             {"teacache_previous", "previous"},
                                             {"teacache_residual", "residual"}};
    for (size_t s = 0; s < sizeof shorter / sizeof shorter[0]; s++)
        if (strcmp(name, shorter[s][0]) == 0)
            return shorter[s][1];
    return name;
}

/* The first rank after this one that holds other bytes; the first that sends other bytes or computes other
 * FLOPs. */
static int64_t next_holder(const struct reel_forecast *f, int64_t rank)
{
    int64_t next = rank + 1;
    while (next < f->ranks && memcmp(&f->of[rank].held, &f->of[next].held, sizeof f->of[rank].held) == 0)
        next++;
    return next;
}

static int64_t next_sender(const struct reel_forecast *f, int64_t rank)
{
    int64_t next = rank + 1;
    while (next < f->ranks && memcmp(&f->of[rank].sent, &f->of[next].sent, sizeof f->of[rank].sent) == 0 &&
           memcmp(&f->of[rank].flops, &f->of[next].flops, sizeof f->of[rank].flops) == 0)
        next++;
    return next;
}

static void print_ranks(int64_t first, int64_t next)
{
    char name[40];
    snprintf(name, sizeof name, next - first > 1 ? "ranks %lld-%lld" : "rank %lld", (long long)first,
             (long long)next - 1);
    printf("%-14s", name);
}

/* Rank 0 is the fullest: a category of which it holds nothing is empty on all ranks. */
static void print_held(const struct reel_forecast *f)
{
    printf("\nGB held       ");
    for (int m = 0; m < REEL_MEMORIES; m++)
        if (f->of[0].held.bytes[m] > 0)
            printf(" %9s", heading(reel_memory_name((enum reel_memory)m)));
    printf(" %9s\n", "total");
    for (int64_t rank = 0, next; rank < f->ranks; rank = next) {
        next = next_holder(f, rank);
        print_ranks(rank, next);
        for (int m = 0; m < REEL_MEMORIES; m++)
            if (f->of[0].held.bytes[m] > 0)
                print_gigabytes(f->of[rank].held.bytes[m]);
        print_gigabytes(f->of[rank].held.total);
        printf("\n");
    }
}

static void print_sent(const struct reel_forecast *f)
{
    int shown[REEL_TRAFFIC_CLASSES] = {0};
    for (int64_t rank = 0; rank < f->ranks; rank++)
        for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
            shown[p] |= f->of[rank].sent.bytes[p] > 0;
    printf("\nGB sent       ");
    for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
        if (shown[p])
            printf(" %9s", reel_traffic_class_name((enum reel_traffic_class)p));
    printf(" %9s %9s | %9s %9s TFLOP\n", "total", "by job", "gemm", "attention");
    for (int64_t rank = 0, next; rank < f->ranks; rank = next) {
        next = next_sender(f, rank);
        print_ranks(rank, next);
        for (int p = 0; p < REEL_TRAFFIC_CLASSES; p++)
            if (shown[p])
                print_gigabytes(f->of[rank].sent.bytes[p]);
        print_gigabytes(f->of[rank].sent.total);
        print_gigabytes(f->of[rank].sent_by_job.total);
        printf(" |");
        print_number(f->of[rank].flops.gemm * 1e-12);
        print_number(f->of[rank].flops.attention * 1e-12);
        printf("\n");
    }
}

static void print_duration(double seconds)
{
    if (seconds >= 7200)
        printf("%.1f hours", seconds / 3600);
    else if (seconds >= 120)
        printf("%.1f minutes", seconds / 60);
    else
        printf("%.2f s", seconds);
}

static void print_machine(const struct reel_forecast *f)
{
    const struct reel_machine *machine = &f->machine;
    printf("device  %s, %lld ranks a host", machine->device.name, (long long)machine->ranks_per_node);
    if (machine->room_bytes > 0)
        printf(", %.2f GB for a rank", (double)machine->room_bytes * 1e-9);
    printf("\n");
}

static void print_job(const struct reel_forecast *f)
{
    printf("job     %lld latent frames in %lld chunks, %lld iterations of %lld forwards, %lld skipped, at "
           "most %lld tokens each\n",
           (long long)f->work.video_frames, (long long)f->timeline.chunk_count,
           (long long)f->timeline.iterations, (long long)f->work.branches, (long long)f->skips,
           (long long)(f->work.window_frames * f->work.H * f->work.W));
    printf("rows    %lld distinct timesteps, %.2f MB of e and e0\n", (long long)f->timeline.table.rows,
           (double)(f->timeline.table.rows * 7 * f->model.width * 4) * 1e-6);
}

/* Prints the skipped iterations of a chunk as ranges: 3 5-7 9. The chunk's calls begin at index c; returns
 * the index after its last call. */
static int64_t print_skipped(const struct reel_forecast *f, int64_t chunk, int64_t c)
{
    int64_t first = -1, last = -1, any = 0, here = 1;
    printf("        chunk %lld skips", (long long)chunk + 1);
    for (; here; c += here) {
        const struct reel_call *call = &f->timeline.calls[c];
        here = c < f->timeline.call_count && call->chunk == chunk;
        if (here && call->branch > 0)
            continue;
        int skipped = here && !call->computed;
        if (skipped && first < 0)
            first = call->iteration;
        if (!skipped && first >= 0) {
            printf(last > first ? " %lld-%lld" : " %lld", (long long)first, (long long)last);
            first = -1;
            any = 1;
        }
        last = skipped ? call->iteration : last;
    }
    printf("%s\n", any ? "" : " nothing");
    return c;
}

static void print_teacache(const struct reel_forecast *f)
{
    if (f->teacache.mode == REEL_TEACACHE_OFF)
        return;
    printf("cache   teacache %s below %g, coefficients: %s", f->teacache.mode == REEL_TEACACHE_E ? "e" : "e0",
           f->teacache.threshold, f->teacache.set);
    if (f->undecided[0]) {
        printf("\n        its decisions need the time embedding's tensors, so every call is planned as "
               "computed: %s\n",
               f->undecided);
        return;
    }
    printf("; saves about ");
    print_duration(f->saved_seconds);
    printf("\n");
    if (f->range.outside > 0)
        printf("        warning: %lld of %lld distances (%.4f to %.4f in all) are %s\n",
               (long long)f->range.outside, (long long)f->range.compared, f->range.min, f->range.max,
               f->teacache.max > 0 ? "outside the range that the polynomial was calibrated on"
                                   : "where the polynomial is negative");
    for (int64_t k = 0, c = 0; k < f->timeline.chunk_count; k++)
        c = print_skipped(f, k, c);
}

static void print_plan(const struct reel_forecast *f)
{
    const struct reel_mesh *m = &f->plan.mesh;
    const struct reel_estimate *e = &f->iteration;
    printf("mesh    %lld ranks = cfg %lld x ring %lld x ulysses %lld x tensor %lld, weights %s, %s\n",
           (long long)f->ranks, (long long)m->cfg, (long long)m->ring, (long long)m->ulysses,
           (long long)m->tensor, m->gathered ? "gathered" : "resident",
           f->work.dtype == REEL_F32 ? "fp32" : "bf16");
    printf("why     %s\n", f->why);
    print_machine(f);
    print_job(f);
    printf("time    about %.2f s an iteration = gemm %.2f + attention %.2f + passes %.2f + waiting %.2f; ",
           e->seconds, e->gemm, e->attention, e->passes, e->waiting);
    print_duration(f->seconds);
    printf(" in all\n");
    print_teacache(f);
    print_held(f);
    print_sent(f);
    printf(
        "\nSent and computed: in one iteration, for all branches of the rank. By job: in all iterations and\n"
        "one pass over the prompts. Libraries: an upper estimate.\n");
}

static void print_candidate(const char *what, int64_t ranks, const struct reel_candidate *candidate)
{
    char mesh[REEL_MESH_TEXT_BYTES];
    reel_mesh_text(&candidate->mesh, mesh);
    printf("%-36s %5lld", what, (long long)ranks);
    print_gigabytes(candidate->bytes);
    print_gigabytes(candidate->sent_bytes);
    print_number(candidate->seconds);
    printf("  %s%s\n", mesh, candidate->fits ? "" : " (does not fit)");
}

static void print_heading(const char *what)
{
    printf("%-36s %5s %9s %9s %9s  mesh\n", what, "ranks", "GB held", "GB sent", "s/iter.");
}

static void print_alternatives(const struct reel_forecast *f)
{
    struct reel_alternative alternatives[REEL_ALTERNATIVES_MAX];
    int64_t count = reel_forecast_alternatives(f, alternatives);
    print_machine(f);
    print_job(f);
    printf("\n");
    print_heading("no mesh fits; what would");
    for (int64_t a = 0; a < count; a++)
        print_candidate(alternatives[a].change, alternatives[a].ranks, &alternatives[a].candidate);
}

static void print_all(const struct reel_forecast *f)
{
    printf("\n");
    print_heading("every mesh");
    for (int64_t c = 0; c < f->candidates.count; c++)
        print_candidate(c == f->candidates.chosen ? "chosen" : "", f->ranks, &f->candidates.at[c]);
}

void reel_forecast_text(const struct reel_forecast *f, int all)
{
    if (f->of)
        print_plan(f);
    else
        print_alternatives(f);
    if (all)
        print_all(f);
}
