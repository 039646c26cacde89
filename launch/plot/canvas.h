/* A white picture to draw on, with antialiased lines and a font made of such lines.
 *
 *     struct reel_canvas canvas;
 *     REEL_PASS(reel_canvas_open(640, 480, &canvas));
 *     reel_canvas_line(&canvas, (struct reel_point){10, 10}, (struct reel_point){630, 470}, 1.5, 0x1f77b4);
 *     reel_canvas_text(&canvas, (struct reel_point){320, 20}, REEL_MIDDLE, 9, 0x333333, "SSIM");
 *
 * Points are in pixels from the left and from the top; (0.5, 0.5) is the centre of the first pixel. Parts
 * outside the picture are not drawn. Colours are 0xRRGGBB. Not collective. */
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

/* Allocates a white picture, which the caller closes with reel_canvas_close. REEL_NO_MEMORY; then there is
 * nothing to close. */
enum reel_status reel_canvas_open(int64_t width, int64_t height, struct reel_canvas *canvas);
void reel_canvas_close(struct reel_canvas *canvas);

/* Draws a line of that width with round ends; a dot when from and to are the same point. */
void reel_canvas_line(struct reel_canvas *canvas, struct reel_point from, struct reel_point to, double width,
                      uint32_t colour);

/* The point of the text's base line that is placed at `at`: start, middle or end. REEL_UPWARD: the middle, of
 * text that runs from the bottom to the top of the picture. */
enum reel_anchor { REEL_START, REEL_MIDDLE, REEL_END, REEL_UPWARD };

/* Draws one line of ASCII text. capitals: the height of a capital in pixels. A byte that is not ASCII is
 * drawn as a box. */
void reel_canvas_text(struct reel_canvas *canvas, struct reel_point at, enum reel_anchor anchor,
                      double capitals, uint32_t colour, const char *text);

/* The width of that text in pixels. No errors. */
double reel_canvas_text_width(const char *text, double capitals);

#endif
