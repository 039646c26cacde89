/* Draws lines: the distance of a pixel from the line gives its coverage. */
#include "canvas.h"

#include "canvas_font.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The gap between two characters, and the width of a space, in steps of the font's grid. */
static const double gap = 2, space = 2;

enum reel_status reel_canvas_open(int64_t width, int64_t height, struct reel_canvas *canvas)
{
    *canvas = (struct reel_canvas){.width = width, .height = height};
    canvas->pixels = malloc((size_t)(width * height) * 3);
    REEL_NEED(canvas->pixels, REEL_NO_MEMORY, "no memory for a picture of %" PRId64 " x %" PRId64 " pixels",
              width, height);
    memset(canvas->pixels, 255, (size_t)(width * height) * 3);
    return REEL_OK;
}

void reel_canvas_close(struct reel_canvas *canvas)
{
    free(canvas->pixels);
    *canvas = (struct reel_canvas){0};
}

/* Mixes colour into a pixel: share, 0 .. 1, of the result. */
static void blend_pixel(struct reel_canvas *canvas, int64_t x, int64_t y, double share, uint32_t colour)
{
    uint8_t *pixel = canvas->pixels + (y * canvas->width + x) * 3;
    for (int c = 0; c < 3; c++) {
        double paint = (double)(colour >> (16 - 8 * c) & 255), old = (double)pixel[c];
        pixel[c] = (uint8_t)(old + share * (paint - old) + 0.5);
    }
}

/* The distance of p from the line between from and to. */
static double distance_to_line(struct reel_point p, struct reel_point from, struct reel_point to)
{
    double dx = to.x - from.x, dy = to.y - from.y, length = dx * dx + dy * dy;
    double along = length > 0 ? ((p.x - from.x) * dx + (p.y - from.y) * dy) / length : 0;
    along = along < 0 ? 0 : along > 1 ? 1 : along;
    return hypot(p.x - from.x - along * dx, p.y - from.y - along * dy);
}

/* Limits value to 0 .. end. */
static int64_t within(double value, int64_t end)
{
    return value > 0 ? value < (double)end ? (int64_t)value : end : 0; /* NaN gives 0, too */
}

void reel_canvas_line(struct reel_canvas *canvas, struct reel_point from, struct reel_point to, double width,
                      uint32_t colour)
{
    double reach = width / 2 + 0.5; /* pixels at least this far from the line keep their colour */
    int64_t left = within(fmin(from.x, to.x) - reach, canvas->width);
    int64_t right = within(fmax(from.x, to.x) + reach + 1, canvas->width);
    int64_t top = within(fmin(from.y, to.y) - reach, canvas->height);
    int64_t bottom = within(fmax(from.y, to.y) + reach + 1, canvas->height);
    for (int64_t y = top; y < bottom; y++)
        for (int64_t x = left; x < right; x++) {
            double share =
                reach - distance_to_line((struct reel_point){(double)x + 0.5, (double)y + 0.5}, from, to);
            if (share > 0)
                blend_pixel(canvas, x, y, share < 1 ? share : 1, colour);
        }
}

static double glyph_width(char character)
{
    const char *glyph = reel_glyph(character);
    double width = character == ' ' ? space : 0;
    for (const char *at = glyph; *at; at += *at == ' ' ? 1 : 2)
        if (*at != ' ' && *at - '0' > width)
            width = *at - '0';
    return width;
}

/* Width in steps of the grid. */
static double text_width(const char *text)
{
    double width = 0;
    for (const char *at = text; *at; at++)
        width += glyph_width(*at) + (at[1] ? gap : 0);
    return width;
}

double reel_canvas_text_width(const char *text, double capitals)
{
    return text_width(text) * capitals / REEL_GLYPH_CAPITAL;
}

/* The coordinates of a text: at is its origin, step the pixels per step of the font's grid. upward: turned to
 * the left by 90 degrees. */
struct pen {
    struct reel_point at;
    double step;
    int upward;
};

/* The pixel position of a point of the grid, x from the start of the text. */
static struct reel_point place_point(const struct pen *pen, double x, double y)
{
    double along = x * pen->step, above = (y - REEL_GLYPH_BASE) * pen->step;
    return pen->upward ? (struct reel_point){pen->at.x - above, pen->at.y - along}
                       : (struct reel_point){pen->at.x + along, pen->at.y - above};
}

static void draw_glyph(struct reel_canvas *canvas, const struct pen *pen, double left, const char *glyph,
                       uint32_t colour)
{
    struct reel_point before = {0, 0};
    int drawing = 0;
    for (const char *at = glyph; *at; at += *at == ' ' ? 1 : 2) {
        if (*at == ' ') {
            drawing = 0;
            continue;
        }
        struct reel_point here = place_point(pen, left + (at[0] - '0'), at[1] - '0');
        reel_canvas_line(canvas, drawing ? before : here, here, 0.55 + pen->step / 2, colour);
        before = here;
        drawing = 1;
    }
}

void reel_canvas_text(struct reel_canvas *canvas, struct reel_point at, enum reel_anchor anchor,
                      double capitals, uint32_t colour, const char *text)
{
    struct pen pen = {.at = at, .step = capitals / REEL_GLYPH_CAPITAL, .upward = anchor == REEL_UPWARD};
    double width = text_width(text);
    double left = anchor == REEL_START ? 0 : anchor == REEL_END ? -width : -width / 2;
    for (; *text; text++) {
        draw_glyph(canvas, &pen, left, reel_glyph(*text), colour);
        left += glyph_width(*text) + gap;
    }
}
