/* Plots: panels one below the other, each with axes and any number of series, as a PNG.
 *
 *     const double frame[] = {0, 1, 2}, psnr[] = {41.5, 40.2, 40.9};
 *     const struct reel_plot_series series = {.name = "each frame", .style = REEL_PLOT_LINE,
 *                                             .colour = REEL_PLOT_BLUE, .count = 3, .x = frame, .y = psnr};
 *     const struct reel_plot_panel panel = {.title = "PSNR", .x_label = "latent frame", .y_label = "dB",
 *                                           .whole_x = 1, .series = &series, .series_count = 1};
 *     REEL_PASS(reel_plot_write("psnr.png", "--plot", "b.h5 against a.h5", &panel, 1));
 *
 * A panel's axes span its finite points, with ticks at round numbers. Not collective. */
#ifndef REEL_PLOT_H
#define REEL_PLOT_H

#include "status.h"

#include <stdint.h>

enum { REEL_PLOT_WIDTH = 1100, REEL_PLOT_HEAD = 50, REEL_PLOT_PANEL = 290 }; /* pixels */

enum {
    REEL_PLOT_BLUE = 0x1f6fb4,
    REEL_PLOT_ORANGE = 0xd95f02,
    REEL_PLOT_GREEN = 0x2a8c3c,
    REEL_PLOT_PURPLE = 0x7b4fa3
};

enum reel_plot_style { REEL_PLOT_LINE, REEL_PLOT_DASHES, REEL_PLOT_POINTS };

/* Points in the order in which a line meets them. One that is not finite is left out, and interrupts it. */
struct reel_plot_series {
    const char *name; /* in the legend; NULL: not in it */
    enum reel_plot_style style;
    uint32_t colour; /* 0xRRGGBB */
    int64_t count;
    const double *x, *y;
};

struct reel_plot_panel {
    const char *title, *x_label, *y_label; /* NULL: none */
    int whole_x;                           /* no ticks between whole numbers */
    const struct reel_plot_series *series; /* the first is drawn last, above the others */
    int64_t series_count;
};

/* Writes a picture of REEL_PLOT_WIDTH x (REEL_PLOT_HEAD + panels * REEL_PLOT_PANEL) pixels, aside and then
 * renamed. Texts that are too long are cut. key names the path in errors, as in png_file.h: REEL_BAD_OUTPUT,
 * REEL_NO_MEMORY. */
enum reel_status reel_plot_write(const char *path, const char *key, const char *title,
                                 const struct reel_plot_panel *panels, int64_t panel_count);

#endif
