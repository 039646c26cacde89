/* A comparison as a plot: three panels over the frames. */
#include "compare.h"

#include "plot.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum curve { PSNR, SSIM, RELATIVE, TEMPORAL, CURVES };

enum { PANELS = 3, TEXT_BYTES = 512, NAME_BYTES = 64 };

/* The measures of every frame, and those over all frames, drawn as horizontal lines. */
struct curves {
    int64_t frames;
    double *memory, *frame, *value[CURVES]; /* [frames] */
    double ends[2], all[CURVES][2];
    char all_name[CURVES][NAME_BYTES];
};

static enum reel_status curves_open(const struct reel_similarity *similarity, struct curves *curves)
{
    const struct reel_likeness *all = &similarity->all;
    const double over_all[CURVES] = {all->psnr, all->ssim, all->relative_l2, all->temporal_l2};
    int64_t frames = similarity->frames;
    *curves = (struct curves){.frames = frames, .ends = {0, (double)(frames - 1)}};
    curves->memory = malloc((size_t)(frames * (1 + CURVES)) * sizeof *curves->memory);
    REEL_NEED(curves->memory, REEL_NO_MEMORY, "no memory to plot %" PRId64 " frames", frames);
    curves->frame = curves->memory;
    for (int c = 0; c < CURVES; c++) {
        curves->value[c] = curves->memory + (1 + c) * frames;
        curves->all[c][0] = curves->all[c][1] = over_all[c];
        snprintf(curves->all_name[c], NAME_BYTES, "over all %.4g", over_all[c]);
    }
    for (int64_t f = 0; f < frames; f++) {
        const struct reel_likeness *likeness = &similarity->frame[f];
        curves->frame[f] = (double)f;
        curves->value[PSNR][f] = likeness->psnr;
        curves->value[SSIM][f] = likeness->ssim;
        curves->value[RELATIVE][f] = likeness->relative_l2;
        curves->value[TEMPORAL][f] = likeness->temporal_l2;
    }
    return REEL_OK;
}

/* A curve over the frames, and the horizontal line of the measure over all frames. */
static void add_pair(const struct curves *curves, enum curve c, const char *name, uint32_t colour,
                     struct reel_plot_series pair[2])
{
    pair[0] = (struct reel_plot_series){.name = name,
                                        .style = REEL_PLOT_LINE,
                                        .colour = colour,
                                        .count = curves->frames,
                                        .x = curves->frame,
                                        .y = curves->value[c]};
    pair[1] = (struct reel_plot_series){.name = isnan(curves->all[c][0]) ? NULL : curves->all_name[c],
                                        .style = REEL_PLOT_DASHES,
                                        .colour = colour,
                                        .count = 2,
                                        .x = curves->ends,
                                        .y = curves->all[c]};
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void write_titles(const struct reel_comparison *comparison, char title[TEXT_BYTES],
                         char psnr[TEXT_BYTES])
{
    const struct reel_compare_side *b = &comparison->side[1];
    int64_t calls = b->computed + b->skipped, infinite = 0;
    for (int64_t f = 0; f < comparison->similarity.frames; f++)
        infinite += isinf(comparison->similarity.frame[f].psnr);
    snprintf(title, TEXT_BYTES, "%s against %s, %.0f%% of the forwards skipped", name_of(b->path),
             name_of(comparison->side[0].path), calls > 0 ? 100 * (double)b->skipped / (double)calls : 0);
    if (infinite > 0)
        snprintf(psnr, TEXT_BYTES, "PSNR, infinite in %" PRId64 " equal frame%s", infinite,
                 infinite > 1 ? "s" : "");
    else
        snprintf(psnr, TEXT_BYTES, "PSNR");
}

enum reel_status reel_comparison_plot(const struct reel_comparison *comparison, const char *path)
{
    struct curves curves;
    struct reel_plot_series series[2 * CURVES]; /* a pair per measure */
    char title[TEXT_BYTES], psnr[TEXT_BYTES];
    REEL_PASS(curves_open(&comparison->similarity, &curves));
    add_pair(&curves, PSNR, "each frame", REEL_PLOT_BLUE, series + 2 * PSNR);
    add_pair(&curves, SSIM, "each frame", REEL_PLOT_GREEN, series + 2 * SSIM);
    add_pair(&curves, RELATIVE, "relative L2", REEL_PLOT_ORANGE, series + 2 * RELATIVE);
    add_pair(&curves, TEMPORAL, "temporal L2", REEL_PLOT_PURPLE, series + 2 * TEMPORAL);
    write_titles(comparison, title, psnr);
    const struct reel_plot_panel panels[PANELS] = {
        {.title = psnr, .y_label = "dB", .whole_x = 1, .series = series + 2 * PSNR, .series_count = 2},
        {.title = "SSIM", .y_label = "SSIM", .whole_x = 1, .series = series + 2 * SSIM, .series_count = 2},
        {.title = "Relative L2",
         .x_label = "latent frame",
         .y_label = "relative L2",
         .whole_x = 1,
         .series = series + 2 * RELATIVE, /* and the two of TEMPORAL behind them */
         .series_count = 4},
    };
    enum reel_status status = reel_plot_write(path, "--plot", title, panels, PANELS);
    free(curves.memory);
    return status;
}
