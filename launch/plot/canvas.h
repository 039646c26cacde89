/* A white sheet to draw on: antialiased strokes, and a font made of them.
 *
 *     struct reel_canvas canvas;
 *     REEL_PASS(reel_canvas_open(640, 480, &canvas));
 *     reel_canvas_line(&canvas, (struct reel_point){10, 10}, (struct reel_point){630, 470}, 1.5, 0x1f77b4);
 *     reel_canvas_text(&canvas, (struct reel_point){320, 20}, REEL_MIDDLE, 9, 0x333333, "SSIM");
 *
 * Points are pixels from the left and from the top; (0.5, 0.5) is the middle of the first one. What lies
 * outside is left out. Colours are 0xRRGGBB. Not collective. */
#ifndef REEL_CANVAS_H
#define REEL_CANVAS_H

#include "status.h"

#include <stdint.h>

struct reel_canvas {
    int64_t width, height;
    uint8_t *pixels; /* [height, width, 3] */
};

struct reel_point {
    double x, y;
};

/* The caller's, for reel_canvas_close; after an error, REEL_NO_MEMORY, there is nothing to close. */
enum reel_status reel_canvas_open(int64_t width, int64_t height, struct reel_canvas *canvas);
void reel_canvas_close(struct reel_canvas *canvas);

/* A stroke of that width with round ends; a dot where from and to are one point. */
void reel_canvas_line(struct reel_canvas *canvas, struct reel_point from, struct reel_point to, double width,
                      uint32_t colour);

/* Which point of the text's base line at is: its start, middle or end. REEL_UPWARD is text that is read from
 * the foot to the head of the sheet, at its middle. */
enum reel_anchor { REEL_START, REEL_MIDDLE, REEL_END, REEL_UPWARD };

/* One line of ASCII, capitals so many pixels high; any other byte is a box. */
void reel_canvas_text(struct reel_canvas *canvas, struct reel_point at, enum reel_anchor anchor,
                      double capitals, uint32_t colour, const char *text);

/* How wide that is. No errors. */
double reel_canvas_text_width(const char *text, double capitals);

#endif
