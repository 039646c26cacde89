/* Similarity of latents, computed in double precision. */
#include "similarity.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { TAPS = 11 };

static const double sigma = 1.5, k1 = 0.01, k2 = 0.03;

static const float *plane_of(const struct reel_latents *latents, int64_t channel, int64_t frame)
{
    return latents->values + (channel * latents->frames + frame) * latents->rows * latents->columns;
}

/* Sums of squares over count latents: of the reference and of the differences from it; and of the reference's
 * changes since the previous frame and of the differences from those. */
struct sums {
    double reference, difference;
    double change, change_difference;
    int64_t count;
};

static void add_frame(const struct reel_latents *a, const struct reel_latents *b, int64_t frame,
                      struct sums *sums)
{
    int64_t plane = a->rows * a->columns;
    for (int64_t c = 0; c < a->channels; c++) {
        const float *x = plane_of(a, c, frame), *y = plane_of(b, c, frame);
        for (int64_t i = 0; i < plane; i++) {
            double value = (double)x[i], difference = (double)y[i] - value;
            sums->reference += value * value;
            sums->difference += difference * difference;
            if (frame > 0) {
                double change = value - (double)x[i - plane];
                double change_difference = (double)y[i] - (double)y[i - plane] - change;
                sums->change += change * change;
                sums->change_difference += change_difference * change_difference;
            }
        }
    }
    sums->count += a->channels * plane;
}

static double relative(double difference, double reference)
{
    if (difference == 0)
        return 0;
    return reference > 0 ? sqrt(difference / reference) : (double)INFINITY;
}

/* All measures except SSIM, which is not a sum of squares. */
static struct reel_likeness likeness_of(const struct sums *sums, double peak, int has_changes)
{
    double error = sums->difference / (double)sums->count;
    return (struct reel_likeness){.relative_l2 = relative(sums->difference, sums->reference),
                                  .psnr = error > 0 ? 10 * log10(peak * peak / error) : (double)INFINITY,
                                  .temporal_l2 = has_changes ? relative(sums->change_difference, sums->change)
                                                             : (double)NAN};
}

/* One axis of the window: taps weights, at count positions. */
struct window {
    int64_t taps, count;
    double weight[TAPS];
};

static struct window window_of(int64_t extent)
{
    struct window window = {.taps = extent < TAPS ? extent : TAPS};
    double sum = 0;
    window.count = extent - window.taps + 1;
    for (int64_t t = 0; t < window.taps; t++) {
        double from_middle = (double)t - (double)(window.taps - 1) / 2;
        window.weight[t] = exp(-from_middle * from_middle / (2 * sigma * sigma));
        sum += window.weight[t];
    }
    for (int64_t t = 0; t < window.taps; t++)
        window.weight[t] /= sum;
    return window;
}

enum mean { A, B, AA, BB, AB, MEANS };

/* Working memory for SSIM on planes of one shape; every buffer holds one plane. */
struct bench {
    int64_t rows, columns;
    struct window down, across;
    double *product, *blurred, *mean[MEANS], *memory;
};

static enum reel_status bench_open(int64_t rows, int64_t columns, struct bench *bench)
{
    int64_t plane = rows * columns;
    *bench = (struct bench){
        .rows = rows, .columns = columns, .down = window_of(rows), .across = window_of(columns)};
    bench->memory = malloc((size_t)(plane * (2 + MEANS)) * sizeof *bench->memory);
    REEL_NEED(bench->memory, REEL_NO_MEMORY, "no memory for %d planes of %" PRId64 " x %" PRId64 " elements",
              2 + MEANS, rows, columns);
    bench->product = bench->memory;
    bench->blurred = bench->memory + plane;
    for (int m = 0; m < MEANS; m++)
        bench->mean[m] = bench->memory + plane * (2 + m);
    return REEL_OK;
}

/* to [down.count, across.count] <- the weighted mean of product under the window at each position. Blurs the
 * axes one after the other, with the loop over taps outside, so that the inner loops run along rows. */
static void blur_plane(const struct bench *bench, double *to)
{
    int64_t count = bench->across.count;
    for (int64_t y = 0; y < bench->rows; y++) {
        const double *from = bench->product + y * bench->columns;
        double *row = bench->blurred + y * count;
        for (int64_t x = 0; x < count; x++)
            row[x] = 0;
        for (int64_t t = 0; t < bench->across.taps; t++)
            for (int64_t x = 0; x < count; x++)
                row[x] += bench->across.weight[t] * from[x + t];
    }
    for (int64_t y = 0; y < bench->down.count; y++) {
        double *row = to + y * count;
        for (int64_t x = 0; x < count; x++)
            row[x] = 0;
        for (int64_t t = 0; t < bench->down.taps; t++)
            for (int64_t x = 0; x < count; x++)
                row[x] += bench->down.weight[t] * bench->blurred[(y + t) * count + x];
    }
}

static double plane_ssim(const struct bench *bench, const float *a, const float *b, double peak)
{
    int64_t plane = bench->rows * bench->columns, positions = bench->down.count * bench->across.count;
    double c1 = k1 * peak * k1 * peak, c2 = k2 * peak * k2 * peak, sum = 0;
    const float *const factors[MEANS][2] = {
        [A] = {a}, [B] = {b}, [AA] = {a, a}, [BB] = {b, b}, [AB] = {a, b}};
    for (int m = 0; m < MEANS; m++) {
        const float *left = factors[m][0], *right = factors[m][1];
        for (int64_t i = 0; i < plane; i++)
            bench->product[i] = (double)left[i] * (right ? (double)right[i] : 1);
        blur_plane(bench, bench->mean[m]);
    }
    for (int64_t i = 0; i < positions; i++) {
        double mean_a = bench->mean[A][i], mean_b = bench->mean[B][i];
        double variances = bench->mean[AA][i] - mean_a * mean_a + (bench->mean[BB][i] - mean_b * mean_b);
        double covariance = bench->mean[AB][i] - mean_a * mean_b;
        sum += (2 * mean_a * mean_b + c1) * (2 * covariance + c2) /
               ((mean_a * mean_a + mean_b * mean_b + c1) * (variances + c2));
    }
    return sum / (double)positions;
}

static double frame_ssim(const struct bench *bench, const struct reel_latents *a,
                         const struct reel_latents *b, int64_t frame, double peak)
{
    double sum = 0;
    for (int64_t c = 0; c < a->channels; c++)
        sum += plane_ssim(bench, plane_of(a, c, frame), plane_of(b, c, frame), peak);
    return sum / (double)a->channels;
}

static void measure_frames(const struct bench *bench, const struct reel_latents *a,
                           const struct reel_latents *b, double peak, struct reel_similarity *similarity)
{
    struct sums all = {0};
    double ssim = 0;
    for (int64_t f = 0; f < similarity->frames; f++) {
        struct sums sums = {0};
        add_frame(a, b, f, &sums);
        similarity->frame[f] = likeness_of(&sums, peak, f > 0);
        similarity->frame[f].ssim = frame_ssim(bench, a, b, f, peak);
        ssim += similarity->frame[f].ssim;
        all.reference += sums.reference;
        all.difference += sums.difference;
        all.change += sums.change;
        all.change_difference += sums.change_difference;
        all.count += sums.count;
    }
    similarity->all = likeness_of(&all, peak, similarity->frames > 1);
    similarity->all.ssim = ssim / (double)similarity->frames;
    similarity->identical = all.difference == 0;
}

enum reel_status reel_similarity_open(const struct reel_latents *a, const struct reel_latents *b, double peak,
                                      struct reel_similarity *similarity)
{
    struct bench bench;
    *similarity = (struct reel_similarity){.frames = a->frames < b->frames ? a->frames : b->frames};
    REEL_PASS(bench_open(a->rows, a->columns, &bench));
    similarity->frame = malloc((size_t)similarity->frames * sizeof *similarity->frame);
    if (similarity->frame)
        measure_frames(&bench, a, b, peak, similarity);
    free(bench.memory);
    REEL_NEED(similarity->frame, REEL_NO_MEMORY, "no memory for the likeness of %" PRId64 " frames",
              similarity->frames);
    return REEL_OK;
}

void reel_similarity_close(struct reel_similarity *similarity)
{
    free(similarity->frame);
    *similarity = (struct reel_similarity){0};
}
