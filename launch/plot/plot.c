/* Axes, ticks, legends and series on a canvas. */
#include "plot.h"

#include "canvas.h"
#include "png_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Positions of a panel's parts, in pixels from the panel's corner or from the field in which the series are
 * drawn. */
enum {
    FIELD_LEFT = 120,
    FIELD_RIGHT = REEL_PLOT_WIDTH - 32,
    FIELD_TOP = 34,
    FIELD_BOTTOM = REEL_PLOT_PANEL - 58,
    TITLE_ABOVE = 12,
    TICK = 5,
    TICK_TEXT_BELOW = 20,
    LABEL_BELOW = 41,
    LABEL_GAP = 14, /* between the y label and the tick numbers */
    SAMPLE = 30,    /* length of a line in the legend */
    LEGEND_GAP = 22,
    TEXT_BYTES = 256
};

enum { INK = 0x222222, SOFT_INK = 0x555555, AXIS = 0x888888, GRID = 0xe6e6e6 };

static const double head_size = 11, title_size = 10, text_size = 9; /* heights of capitals, in pixels */
static const double line_width = 1.8, dash = 7, dash_gap = 5, dot_width = 6;

/* An axis: the values min to max lie on the pixels first to last; ticks are at multiples of step. */
struct axis {
    double min, max, step;
    double first, last;
};

struct field {
    struct axis x, y;
};

static double pixel_of(const struct axis *axis, double value)
{
    return axis->first + (value - axis->min) / (axis->max - axis->min) * (axis->last - axis->first);
}

static struct reel_point point_of(const struct field *field, const struct reel_plot_series *series, int64_t i)
{
    return (struct reel_point){pixel_of(&field->x, series->x[i]), pixel_of(&field->y, series->y[i])};
}

static int is_drawn(const struct reel_plot_series *series, int64_t i)
{
    return i >= 0 && i < series->count && isfinite(series->x[i]) && isfinite(series->y[i]);
}

/* The smallest step of the form 1, 2 or 5 times a power of ten that cuts span into at most so many parts; at
 * least 1 if whole. */
static double round_step(double span, int parts, int whole)
{
    double step = pow(10, floor(log10(span / parts)));
    for (int i = 0; span / step > parts * (1 + 1e-9); i++)
        step *= i % 3 == 1 ? 2.5 : 2;
    return whole && step < 1 ? 1 : step;
}

/* margin: the fraction of the span that stays free at either end. */
static struct axis axis_of(double min, double max, double margin, int parts, int whole)
{
    double span = max - min, size = fmax(fabs(min), fabs(max));
    if (span <= size * 1e-6) /* practically one value; closer ticks would have no room for their digits */
        span = whole || size == 0 ? 1 : size * 0.1, min -= span / 2, max += span / 2;
    else
        min -= margin * span, max += margin * span;
    return (struct axis){.min = min, .max = max, .step = round_step(max - min, parts, whole)};
}

/* Makes axes that span the finite points of a panel. Returns 0 when there are none. */
static int span_points(const struct reel_plot_panel *panel, struct field *field)
{
    double min[2] = {INFINITY, INFINITY}, max[2] = {-INFINITY, -INFINITY};
    for (int64_t s = 0; s < panel->series_count; s++)
        for (int64_t i = 0; i < panel->series[s].count; i++)
            if (is_drawn(&panel->series[s], i)) {
                const double value[2] = {panel->series[s].x[i], panel->series[s].y[i]};
                for (int d = 0; d < 2; d++) {
                    min[d] = fmin(min[d], value[d]);
                    max[d] = fmax(max[d], value[d]);
                }
            }
    int any = min[0] <= max[0];
    field->x = any ? axis_of(min[0], max[0], 0.015, 12, panel->whole_x) : axis_of(0, 1, 0, 1, 1);
    field->y = any ? axis_of(min[1], max[1], 0.08, 6, 0) : axis_of(0, 1, 0, 1, 1);
    return any;
}

/* A tick's number, with enough digits to tell it from its neighbours. */
static void tick_text(const struct axis *axis, double value, char text[TEXT_BYTES])
{
    double size = fmax(fabs(axis->min), fabs(axis->max));
    int places = (int)fmax(0, ceil(-log10(axis->step) - 1e-9));
    if (fabs(value) < axis->step * 1e-6)
        snprintf(text, TEXT_BYTES, "0");
    else if (size >= 1e6 || size < 1e-3)
        snprintf(text, TEXT_BYTES, "%.*e", (int)fmax(0, floor(log10(size)) - floor(log10(axis->step) + 1e-9)),
                 value);
    else
        snprintf(text, TEXT_BYTES, "%.*f", places, value);
}

/* Shortens the text at its end until it fits into width pixels. */
static const char *fit_text(const char *text, double size, double width, char fitted[TEXT_BYTES])
{
    int length = (int)strlen(text), kept = length < TEXT_BYTES ? length : TEXT_BYTES - 4;
    snprintf(fitted, TEXT_BYTES, "%.*s%s", kept, text, kept < length ? "..." : "");
    while (kept > 0 && reel_canvas_text_width(fitted, size) > width)
        snprintf(fitted, TEXT_BYTES, "%.*s...", --kept, text);
    return fitted;
}

static void draw_x_ticks(struct reel_canvas *canvas, const struct field *field)
{
    char text[TEXT_BYTES];
    const struct axis *x = &field->x, *y = &field->y;
    for (double n = ceil(x->min / x->step); n * x->step <= x->max; n++) {
        double at = round(pixel_of(x, n * x->step)) + 0.5;
        const struct reel_point foot = {at, y->first}, head = {at, y->last}, end = {at, y->first + TICK};
        reel_canvas_line(canvas, foot, head, 1, GRID);
        reel_canvas_line(canvas, foot, end, 1, AXIS);
        tick_text(x, n * x->step, text);
        reel_canvas_text(canvas, (struct reel_point){at, y->first + TICK_TEXT_BELOW}, REEL_MIDDLE, text_size,
                         SOFT_INK, text);
    }
}

/* Returns the x at which the longest number begins. */
static double draw_y_ticks(struct reel_canvas *canvas, const struct field *field)
{
    char text[TEXT_BYTES];
    const struct axis *x = &field->x, *y = &field->y;
    const double right = x->first - 2 * TICK;
    double left = right;
    for (double n = ceil(y->min / y->step); n * y->step <= y->max; n++) {
        double at = round(pixel_of(y, n * y->step)) + 0.5;
        const struct reel_point start = {x->first, at}, end = {x->last, at}, out = {x->first - TICK, at};
        reel_canvas_line(canvas, start, end, 1, GRID);
        reel_canvas_line(canvas, start, out, 1, AXIS);
        tick_text(y, n * y->step, text);
        reel_canvas_text(canvas, (struct reel_point){right, at + text_size / 2}, REEL_END, text_size,
                         SOFT_INK, text);
        left = fmin(left, right - reel_canvas_text_width(text, text_size));
    }
    return left;
}

static void draw_frame(struct reel_canvas *canvas, const struct field *field)
{
    const struct axis *x = &field->x, *y = &field->y;
    const struct reel_point corner[5] = {{x->first, y->first},
                                         {x->last, y->first},
                                         {x->last, y->last},
                                         {x->first, y->last},
                                         {x->first, y->first}};
    for (int c = 0; c < 4; c++)
        reel_canvas_line(canvas, corner[c], corner[c + 1], 1, AXIS);
}

/* Draws one line of a series. Dashes continue the pattern of the previous line, which ended after *walked
 * pixels. */
static void draw_stroke(struct reel_canvas *canvas, const struct reel_plot_series *series,
                        struct reel_point from, struct reel_point to, double *walked)
{
    double length = hypot(to.x - from.x, to.y - from.y), period = dash + dash_gap;
    if (series->style == REEL_PLOT_LINE) {
        reel_canvas_line(canvas, from, to, line_width, series->colour);
        return;
    }
    for (double start = -fmod(*walked, period); start < length; start += period) {
        double begin = fmax(start, 0) / length, end = fmin(start + dash, length) / length;
        if (begin < end)
            reel_canvas_line(
                canvas,
                (struct reel_point){from.x + begin * (to.x - from.x), from.y + begin * (to.y - from.y)},
                (struct reel_point){from.x + end * (to.x - from.x), from.y + end * (to.y - from.y)},
                line_width * 0.8, series->colour);
    }
    *walked += length;
}

static void draw_series(struct reel_canvas *canvas, const struct field *field,
                        const struct reel_plot_series *series)
{
    double walked = 0;
    int roomy = series->style == REEL_PLOT_LINE && series->count <= 80;
    for (int64_t i = 0; i < series->count; i++) {
        if (!is_drawn(series, i))
            continue;
        struct reel_point at = point_of(field, series, i);
        int follows = is_drawn(series, i - 1);
        if (series->style != REEL_PLOT_POINTS && follows)
            draw_stroke(canvas, series, point_of(field, series, i - 1), at, &walked);
        int alone = !follows && !is_drawn(series, i + 1); /* no line shows it */
        if (series->style == REEL_PLOT_POINTS || roomy || alone)
            reel_canvas_line(canvas, at, at, series->style == REEL_PLOT_LINE ? dot_width * 0.8 : dot_width,
                             series->colour);
    }
}

/* Draws the names and samples of the series, from the right. Returns the x at which the first begins. */
static double draw_legend(struct reel_canvas *canvas, const struct reel_plot_panel *panel, double base)
{
    double right = FIELD_RIGHT, middle = base - text_size / 2;
    for (int64_t s = panel->series_count - 1; s >= 0; s--) {
        const struct reel_plot_series *series = &panel->series[s];
        double walked = 0;
        if (!series->name)
            continue;
        reel_canvas_text(canvas, (struct reel_point){right, base}, REEL_END, text_size, INK, series->name);
        right -= reel_canvas_text_width(series->name, text_size) + 8;
        struct reel_point from = {right - SAMPLE, middle}, to = {right, middle},
                          centre = {right - SAMPLE / 2., middle};
        if (series->style == REEL_PLOT_POINTS)
            reel_canvas_line(canvas, centre, centre, dot_width, series->colour);
        else
            draw_stroke(canvas, series, from, to, &walked);
        right -= SAMPLE + LEGEND_GAP;
    }
    return right;
}

/* Draws title and legend above the field and the labels beside it. y_numbers: the x at which the y axis's
 * numbers begin. */
static void draw_texts(struct reel_canvas *canvas, const struct reel_plot_panel *panel,
                       const struct field *field, double y_numbers)
{
    char text[TEXT_BYTES];
    double base = field->y.last - TITLE_ABOVE, title_room = draw_legend(canvas, panel, base) - FIELD_LEFT;
    double width = field->x.last - field->x.first, height = field->y.first - field->y.last;
    const struct reel_point title = {FIELD_LEFT, base};
    const struct reel_point below = {field->x.first + width / 2, field->y.first + LABEL_BELOW};
    const struct reel_point beside = {y_numbers - LABEL_GAP, field->y.last + height / 2};
    if (panel->title)
        reel_canvas_text(canvas, title, REEL_START, title_size, INK,
                         fit_text(panel->title, title_size, title_room, text));
    if (panel->x_label)
        reel_canvas_text(canvas, below, REEL_MIDDLE, text_size, SOFT_INK,
                         fit_text(panel->x_label, text_size, width, text));
    if (panel->y_label)
        reel_canvas_text(canvas, beside, REEL_UPWARD, text_size, SOFT_INK,
                         fit_text(panel->y_label, text_size, height, text));
}

static void draw_panel(struct reel_canvas *canvas, const struct reel_plot_panel *panel, double top)
{
    struct field field;
    int any = span_points(panel, &field);
    field.x.first = FIELD_LEFT + 0.5;
    field.x.last = FIELD_RIGHT + 0.5;
    field.y.first = top + FIELD_BOTTOM + 0.5;
    field.y.last = top + FIELD_TOP + 0.5;
    double y_numbers = field.x.first;
    if (any) {
        draw_x_ticks(canvas, &field);
        y_numbers = draw_y_ticks(canvas, &field);
    } else {
        const struct reel_point middle = {(field.x.first + field.x.last) / 2,
                                          (field.y.first + field.y.last) / 2};
        reel_canvas_text(canvas, middle, REEL_MIDDLE, text_size, SOFT_INK, "nothing finite to draw");
    }
    draw_frame(canvas, &field);
    for (int64_t s = panel->series_count - 1; s >= 0; s--)
        draw_series(canvas, &field, &panel->series[s]);
    draw_texts(canvas, panel, &field, y_numbers);
}

enum reel_status reel_plot_write(const char *path, const char *key, const char *title,
                                 const struct reel_plot_panel *panels, int64_t panel_count)
{
    struct reel_canvas canvas;
    char text[TEXT_BYTES];
    REEL_PASS(reel_canvas_open(REEL_PLOT_WIDTH, REEL_PLOT_HEAD + panel_count * REEL_PLOT_PANEL, &canvas));
    reel_canvas_text(&canvas, (struct reel_point){REEL_PLOT_WIDTH / 2., 34}, REEL_MIDDLE, head_size, INK,
                     fit_text(title, head_size, FIELD_RIGHT - FIELD_LEFT, text));
    for (int64_t p = 0; p < panel_count; p++)
        draw_panel(&canvas, &panels[p], (double)(REEL_PLOT_HEAD + p * REEL_PLOT_PANEL));
    enum reel_status status = reel_png_write(path, key, canvas.width, canvas.height, canvas.pixels);
    reel_canvas_close(&canvas);
    return status;
}
