/* Writes plots as PNG files: panels one below the other, each with axes and any number of series.
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

/* The points of a series, in the order in which a line connects them. A point that is not finite is not drawn
 * and interrupts the line. */
struct reel_plot_series {
    const char *name; /* in the legend; NULL: not in the legend */
    enum reel_plot_style style;
    uint32_t colour; /* 0xRRGGBB */
    int64_t count;
    const double *x, *y;
};

struct reel_plot_panel {
    const char *title, *x_label, *y_label; /* NULL: none */
    int whole_x;                           /* ticks of the x axis at whole numbers only */
    const struct reel_plot_series *series; /* the first is drawn last, above the others */
    int64_t series_count;
};

/* Writes a picture of REEL_PLOT_WIDTH x (REEL_PLOT_HEAD + panel_count * REEL_PLOT_PANEL) pixels, as
 * reel_png_write does. Texts that are too long are cut. Errors name path and key: REEL_BAD_OUTPUT,
 * REEL_NO_MEMORY. */
enum reel_status reel_plot_write(const char *path, const char *key, const char *title,
                                 const struct reel_plot_panel *panels, int64_t panel_count);

#endif
