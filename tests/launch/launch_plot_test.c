/* Plots: points and lines are drawn where their numbers are, and texts stay within the picture. */
#include "picture.h"
#include "plot.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *own(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    return path;
}

/* Rising points, and a falling line with a gap. */
static void points_and_lines_lie_where_they_should(void)
{
    const double x[5] = {0, 1, 2, 3, 4}, up[5] = {1, 2, 3, 4, 5}, down[5] = {5, 4, NAN, 2, 1};
    const struct reel_plot_series series[2] = {
        {.name = NULL, .style = REEL_PLOT_POINTS, .colour = REEL_PLOT_BLUE, .count = 5, .x = x, .y = up},
        {.name = NULL, .style = REEL_PLOT_LINE, .colour = REEL_PLOT_ORANGE, .count = 5, .x = x, .y = down}};
    const struct reel_plot_panel panels[2] = {
        {.title = "a title", .x_label = "x", .y_label = "y", .series = series, .series_count = 2},
        {.series = NULL, .series_count = 0}};
    char title[2000];
    memset(title, 'w', sizeof title - 1);
    title[sizeof title - 1] = '\0';
    CHECK(reel_plot_write(own("two.png"), "--plot", title, panels, 2) == REEL_OK, "%s",
          reel_error_here()->cause);
    struct picture plot = picture_read(own("two.png"));
    picture_find(&plot, REEL_PLOT_BLUE, 0, plot.width, 0, plot.height);
    int64_t left = plot.left, right = plot.right, middle = (left + right) / 2, top = plot.top,
            bottom = plot.bottom;
    CHECK(right - left > plot.width / 2 && bottom - top > REEL_PLOT_PANEL / 2 && bottom < plot.height / 2,
          "points from %lld to %lld", (long long)left, (long long)right);
    picture_find(&plot, REEL_PLOT_BLUE, 0, left + 2, 0, plot.height);
    CHECK(plot.count > 0 && plot.top > (top + bottom) / 2, "the first point is not low");
    picture_find(&plot, REEL_PLOT_ORANGE, 0, middle, 0, plot.height);
    CHECK(plot.count > 0 && plot.bottom < (top + bottom) / 2 && plot.right < middle - (right - left) / 8,
          "the line's start reaches %lld, %lld", (long long)plot.right, (long long)plot.bottom);
    picture_find(&plot, REEL_PLOT_ORANGE, middle, plot.width, 0, plot.height);
    CHECK(plot.count > 0 && plot.top > (top + bottom) / 2 && plot.left > middle + (right - left) / 8,
          "the line's end begins at %lld, %lld", (long long)plot.left, (long long)plot.top);
    picture_find(&plot, 0x222222, 0, 60, 0, REEL_PLOT_HEAD);
    CHECK(plot.count == 0, "the title is longer than the picture");
    free(plot.pixels);
}

/* Numbers of every size have axes: equal, huge and tiny ones, and a single one. */
static void every_range_has_an_axis(void)
{
    static const double values[][2] = {
        {3, 3},          {0, 0},           {-1e300, 1e300},       {1e-300, 2e-300},
        {1e9, 1e9 + 1},  {NAN, 5},         {-INFINITY, INFINITY}, {0.9999998, 1},
        {-99999, 99999}, {-0.00101, 0.001}};
    const double x[2] = {0, 1};
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        const struct reel_plot_series series = {.name = "values",
                                                .style = REEL_PLOT_LINE,
                                                .colour = REEL_PLOT_BLUE,
                                                .count = 2,
                                                .x = x,
                                                .y = values[v]};
        const struct reel_plot_panel panel = {
            .title = "a panel", .y_label = "y", .series = &series, .series_count = 1};
        CHECK(reel_plot_write(own("one.png"), "--plot", "values", &panel, 1) == REEL_OK, "%s",
              reel_error_here()->cause);
        struct picture plot = picture_read(own("one.png"));
        picture_find(&plot, REEL_PLOT_BLUE, 0, plot.width, REEL_PLOT_HEAD + 35, plot.height);
        CHECK((plot.count > 0) == (isfinite(values[v][0]) || isfinite(values[v][1])), "%g to %g: %lld pixels",
              values[v][0], values[v][1], (long long)plot.count);
        picture_find(&plot, 0xffffff, 0, 8, 0, plot.height);
        CHECK(plot.count == 8 * plot.height, "%g to %g: the numbers do not fit", values[v][0], values[v][1]);
        free(plot.pixels);
    }
}

static void every_character_is_drawn(void)
{
    const struct reel_plot_panel panel = {0};
    for (int c = ' '; c <= 0x80; c++) {
        char title[8] = {(char)c, (char)c, (char)c};
        CHECK(reel_plot_write(own("one.png"), "--plot", title, &panel, 1) == REEL_OK, "%s",
              reel_error_here()->cause);
        struct picture plot = picture_read(own("one.png"));
        picture_find(&plot, 0xffffff, 0, plot.width, 0, REEL_PLOT_HEAD);
        CHECK((plot.count == plot.width * REEL_PLOT_HEAD) == (c == ' '), "character %d", c);
        free(plot.pixels);
    }
}

int main(void)
{
    RUN(points_and_lines_lie_where_they_should);
    RUN(every_range_has_an_axis);
    RUN(every_character_is_drawn);
    return test_end();
}
