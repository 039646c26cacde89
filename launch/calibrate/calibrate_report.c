/* The result of a calibration: as text, as JSON and as a plot. */
#include "calibrate.h"

#include "inspect.h"
#include "plot.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *mode_of(const struct reel_calibrate *calibrate)
{
    return calibrate->job->teacache.mode == REEL_TEACACHE_E ? "e" : "e0";
}

static const char *metric_of(const struct reel_calibrate *calibrate)
{
    return calibrate->job->teacache.metric == REEL_METRIC_ALL ? "all" : "active";
}

static double mean_change(const struct reel_calibrate *calibrate)
{
    double sum = 0;
    for (int64_t p = 0; p < calibrate->point_count; p++)
        sum += calibrate->points[p].change;
    return sum / (double)calibrate->point_count;
}

void reel_calibrate_print(const struct reel_calibrate *calibrate, const char *file, const char *plot,
                          FILE *to)
{
    const struct reel_polynomial *fit = &calibrate->fit;
    fprintf(to, "mode          %s, metric %s\n", mode_of(calibrate), metric_of(calibrate));
    fprintf(to, "points        %" PRId64 " of %" PRId64 " calls\n", calibrate->point_count,
            calibrate->forecast.timeline.call_count);
    fprintf(to, "distances     %.6g to %.6g\n", fit->min, fit->max);
    fprintf(to, "coefficients  [");
    for (int i = 0; i <= REEL_POLYNOMIAL_DEGREE; i++)
        fprintf(to, "%s%.9g", i > 0 ? ", " : "", fit->coefficients[i]);
    fprintf(to, "]\nfit error     %.4g (root mean square), of a mean change of %.4g\n", fit->rms,
            mean_change(calibrate));
    fprintf(to, "written       %s\n              %s\n\n", file, plot);
    fprintf(to,
            "To use it:  teacache: {mode: %s, metric: %s, coefficients: %s}\n"
            "A threshold is then a sum of relative changes of the transformer's output.\n",
            mode_of(calibrate), metric_of(calibrate), file);
}

static json_t *points_json(const struct reel_calibrate *calibrate)
{
    json_t *list = json_array();
    for (int64_t p = 0; p < calibrate->point_count; p++) {
        const struct reel_calibrate_point *point = &calibrate->points[p];
        json_array_append_new(
            list, json_pack("{s:I, s:I, s:I, s:f, s:f, s:f}", "chunk", (json_int_t)point->chunk, "iteration",
                            (json_int_t)point->iteration, "branch", (json_int_t)point->branch, "distance",
                            point->distance, "change", point->change, "fitted",
                            reel_polynomial_at(&calibrate->fit, point->distance)));
    }
    return list;
}

enum reel_status reel_calibrate_print_json(const struct reel_calibrate *calibrate, const char *file,
                                           const char *plot, FILE *to)
{
    const struct reel_polynomial *fit = &calibrate->fit;
    json_t *list = json_array();
    for (int i = 0; i <= REEL_POLYNOMIAL_DEGREE; i++)
        json_array_append_new(list, json_real(fit->coefficients[i]));
    json_t *report =
        json_pack("{s:s, s:s, s:s, s:I, s:o, s:[f, f], s:f, s:f, s:s, s:s, s:o}", "kind", "calibration",
                  "mode", mode_of(calibrate), "metric", metric_of(calibrate), "calls",
                  (json_int_t)calibrate->forecast.timeline.call_count, "coefficients", list, "range",
                  fit->min, fit->max, "rms", fit->rms, "mean_change", mean_change(calibrate), "file", file,
                  "plot", plot, "points", points_json(calibrate));
    REEL_NEED(report, REEL_NO_MEMORY, "no memory for the calibration's JSON, or a path is not UTF-8");
    json_dumpf(report, to, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    fputc('\n', to);
    json_decref(report);
    return REEL_OK;
}

/* The kinds of points: 2 * (1 for a later chunk, 0 for the first) + branch. */
enum { KINDS = 4, CURVE = 256, PANELS = 2, INK = 0x222222 };

static const struct {
    const char *name;
    uint32_t colour;
} kinds[KINDS] = {{"first chunk", REEL_PLOT_BLUE},
                  {"first chunk, unconditional", REEL_PLOT_PURPLE},
                  {"later chunks", REEL_PLOT_GREEN},
                  {"later chunks, unconditional", REEL_PLOT_ORANGE}};

struct drawing {
    double *memory, *distance[KINDS], *change[KINDS];
    double *order, *measured, *fitted; /* [point_count] */
    double x[CURVE], y[CURVE];
    int64_t count[KINDS];
};

static enum reel_status drawing_open(const struct reel_calibrate *calibrate, struct drawing *drawing)
{
    int64_t points = calibrate->point_count;
    const struct reel_polynomial *fit = &calibrate->fit;
    memset(drawing, 0, sizeof *drawing);
    drawing->memory = malloc((size_t)((2 * KINDS + 3) * points + 1) * sizeof *drawing->memory);
    REEL_NEED(drawing->memory, REEL_NO_MEMORY, "no memory to plot %" PRId64 " points", points);
    double *at = drawing->memory;
    for (int k = 0; k < KINDS; k++, at += 2 * points) {
        drawing->distance[k] = at;
        drawing->change[k] = at + points;
    }
    drawing->order = at;
    drawing->measured = at + points;
    drawing->fitted = at + 2 * points;
    for (int64_t p = 0; p < points; p++) {
        const struct reel_calibrate_point *point = &calibrate->points[p];
        int64_t kind = 2 * (point->chunk > 0) + point->branch, n = drawing->count[kind]++;
        drawing->distance[kind][n] = point->distance;
        drawing->change[kind][n] = point->change;
        drawing->order[p] = (double)p;
        drawing->measured[p] = point->change;
        drawing->fitted[p] = reel_polynomial_at(fit, point->distance);
    }
    for (int i = 0; i < CURVE; i++) {
        drawing->x[i] = fit->min + (fit->max - fit->min) * i / (CURVE - 1);
        drawing->y[i] = reel_polynomial_at(fit, drawing->x[i]);
    }
    return REEL_OK;
}

enum reel_status reel_calibrate_plot(const struct reel_calibrate *calibrate, const char *path)
{
    struct drawing drawing;
    struct reel_plot_series over_distance[1 + KINDS], over_calls[2];
    int64_t count = 1, points = calibrate->point_count;
    char title[128];
    REEL_PASS(drawing_open(calibrate, &drawing));
    over_distance[0] = (struct reel_plot_series){"fit", REEL_PLOT_LINE, INK, CURVE, drawing.x, drawing.y};
    for (int k = 0; k < KINDS; k++)
        if (drawing.count[k] > 0)
            over_distance[count++] =
                (struct reel_plot_series){kinds[k].name,    REEL_PLOT_POINTS,    kinds[k].colour,
                                          drawing.count[k], drawing.distance[k], drawing.change[k]};
    over_calls[0] =
        (struct reel_plot_series){"fit", REEL_PLOT_LINE, INK, points, drawing.order, drawing.fitted};
    over_calls[1] = (struct reel_plot_series){"measured", REEL_PLOT_POINTS, REEL_PLOT_BLUE,
                                              points,     drawing.order,    drawing.measured};
    const struct reel_plot_panel panels[PANELS] = {{.title = "The fit",
                                                    .x_label = "distance of the signal",
                                                    .y_label = "relative change",
                                                    .series = over_distance,
                                                    .series_count = count},
                                                   {.title = "Over the calls",
                                                    .x_label = "call",
                                                    .y_label = "relative change",
                                                    .whole_x = 1,
                                                    .series = over_calls,
                                                    .series_count = 2}};
    snprintf(title, sizeof title, "TeaCache, mode %s, metric %s: %" PRId64 " points, fit error %.3g",
             mode_of(calibrate), metric_of(calibrate), points, calibrate->fit.rms);
    enum reel_status status = reel_plot_write(path, "--plot", title, panels, PANELS);
    free(drawing.memory);
    return status;
}
