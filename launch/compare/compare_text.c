/* A comparison as text. */
#include "compare.h"

#include <inttypes.h>
#include <math.h>

enum { CELL_BYTES = 32 };

static void print_sides(const struct reel_compare_side *a, const struct reel_compare_side *b, FILE *to)
{
    const struct {
        const char *name, *meaning;
        int64_t a, b;
    } rows[] = {
        {"frames", "latent frames that are finished", a->file.finished_frames, b->file.finished_frames},
        {"of", "latent frames of the whole video", (a->file.frames + 3) / 4, (b->file.frames + 3) / 4},
        {"seed", "of the noise", a->file.seed, b->file.seed},
        {"computed", "forwards that were computed", a->computed, b->computed},
        {"skipped", "forwards that TeaCache skipped", a->skipped, b->skipped},
    };
    fprintf(to, "A, the reference  %s\nB                 %s\n\n", a->path, b->path);
    fprintf(to, "  %-10s %12s %12s\n", "", "A", "B");
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        fprintf(to, "  %-10s %12" PRId64 " %12" PRId64 "   %s\n", rows[r].name, rows[r].a, rows[r].b,
                rows[r].meaning);
}

static void print_notes(const struct reel_comparison *comparison, FILE *to)
{
    const struct reel_compare_side *a = &comparison->side[0], *b = &comparison->side[1];
    int64_t frames = comparison->similarity.frames;
    fprintf(to, "\npeak %.6g, for PSNR and SSIM: the largest minus the smallest latent of A\n",
            comparison->peak);
    if (a->file.finished_frames != b->file.finished_frames)
        fprintf(to, "note: the %" PRId64 " latent frames that both have are compared\n", frames);
    for (int s = 0; s < REEL_COMPARE_SIDES; s++)
        if (!comparison->side[s].file.complete)
            fprintf(to, "note: %c is not complete\n", 'A' + s);
    if (a->file.seed != b->file.seed)
        fprintf(to, "note: the seeds differ, so A and B are different videos from the first frame on\n");
}

/* A ratio as text: it may be very small or large, or NaN, which is shown as "-". */
static const char *ratio_text(double value, char text[CELL_BYTES])
{
    if (isnan(value))
        snprintf(text, CELL_BYTES, "-");
    else if (value != 0 && (value < 1e-4 || value >= 1e4))
        snprintf(text, CELL_BYTES, "%.3e", value);
    else
        snprintf(text, CELL_BYTES, "%.6f", value);
    return text;
}

static void print_row(const char *name, const struct reel_likeness *likeness, FILE *to)
{
    char relative[CELL_BYTES], temporal[CELL_BYTES];
    fprintf(to, "  %6s %13s %10.2f %10.6f %13s\n", name, ratio_text(likeness->relative_l2, relative),
            likeness->psnr, likeness->ssim, ratio_text(likeness->temporal_l2, temporal));
}

static void print_summary(const struct reel_comparison *comparison, FILE *to)
{
    const struct reel_similarity *similarity = &comparison->similarity;
    const struct reel_compare_side *b = &comparison->side[1];
    char text[CELL_BYTES];
    int64_t worst = 0, calls = b->computed + b->skipped;
    for (int64_t f = 1; f < similarity->frames; f++)
        worst = similarity->frame[f].relative_l2 > similarity->frame[worst].relative_l2 ? f : worst;
    if (similarity->identical)
        fprintf(to, "\nB is identical to A");
    else
        fprintf(to, "\nrelative L2 %s, PSNR %.2f dB, SSIM %.4f, worst frame %" PRId64,
                ratio_text(similarity->all.relative_l2, text), similarity->all.psnr, similarity->all.ssim,
                worst);
    fprintf(to, ", %.0f%% skipped\n", calls > 0 ? 100 * (double)b->skipped / (double)calls : 0);
}

void reel_comparison_print(const struct reel_comparison *comparison, FILE *to)
{
    const struct reel_similarity *similarity = &comparison->similarity;
    print_sides(&comparison->side[0], &comparison->side[1], to);
    print_notes(comparison, to);
    fprintf(to, "\n  %6s %13s %10s %10s %13s\n", "frame", "relative L2", "PSNR dB", "SSIM", "temporal L2");
    for (int64_t f = 0; f < similarity->frames; f++) {
        char name[CELL_BYTES];
        snprintf(name, sizeof name, "%" PRId64, f);
        print_row(name, &similarity->frame[f], to);
    }
    print_row("all", &similarity->all, to);
    print_summary(comparison, to);
}
