/* Latents as pictures. */
#include "preview.h"

#include "png_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHANNELS = 16, MARGIN = 4, LABEL = 14, ACROSS_MAX = 1920, PATH_BYTES = REEL_PATH_BYTES + 64 };

static const float red_green_blue[CHANNELS][3] = {
    {-0.1299f, -0.1692f, 0.2932f},  {0.0671f, 0.0406f, 0.0442f},  {0.3568f, 0.2548f, 0.1747f},
    {0.0372f, 0.2344f, 0.1420f},    {0.0313f, 0.0189f, -0.0328f}, {0.0296f, -0.0956f, -0.0665f},
    {-0.3477f, -0.4059f, -0.2925f}, {0.0166f, 0.1902f, 0.1975f},  {-0.0412f, 0.0267f, -0.1364f},
    {-0.1293f, 0.0740f, 0.1636f},   {0.0680f, 0.3019f, 0.1128f},  {0.0032f, 0.0581f, 0.0639f},
    {-0.1251f, 0.0927f, 0.1699f},   {0.0060f, -0.0633f, 0.0005f}, {0.3477f, 0.2275f, 0.2950f},
    {0.1984f, 0.0913f, 0.1861f}};
static const float bias[3] = {-0.1835f, -0.0868f, -0.3360f};

/* Digits, 3 wide and 5 high, a row per octal digit. */
static const int digits[10] = {075557, 026227, 071747, 071717, 055711,
                               074717, 074757, 071122, 075757, 075717};

/* A sheet: a grid of frames, `across` in a row, each of columns x rows latents drawn scale times as large. */
struct sheet {
    int64_t width, height, across, scale, cell_width, cell_height;
    uint8_t *pixels; /* [height, width, 3] */
};

static void draw_dot(struct sheet *sheet, int64_t x, int64_t y, const uint8_t colour[3])
{
    memcpy(sheet->pixels + (y * sheet->width + x) * 3, colour, 3);
}

static uint8_t shade_of(float value)
{
    float scaled = (value + 1.0f) * 127.5f;
    return (uint8_t)(scaled > 0.0f ? scaled < 255.0f ? scaled : 255.0f : 0.0f); /* NaN is black */
}

/* Draws one latent frame at (left, top). */
static void draw_frame(struct sheet *sheet, const struct reel_picture *picture, int64_t frame, int64_t left,
                       int64_t top)
{
    int64_t plane = picture->rows * picture->columns;
    for (int64_t y = 0; y < picture->rows * sheet->scale; y++)
        for (int64_t x = 0; x < picture->columns * sheet->scale; x++) {
            const float *latent =
                picture->latents + frame * plane + y / sheet->scale * picture->columns + x / sheet->scale;
            uint8_t colour[3];
            for (int c = 0; c < 3; c++) {
                float value = bias[c];
                for (int64_t channel = 0; channel < CHANNELS; channel++)
                    value += red_green_blue[channel][c] * latent[channel * picture->video_frames * plane];
                colour[c] = shade_of(value);
            }
            draw_dot(sheet, left + x, top + y, colour);
        }
}

/* Draws the frame's number, each point of a digit as 2 x 2 dots; grey for frames that an earlier chunk
 * made. */
static void draw_number(struct sheet *sheet, int64_t number, int grey, int64_t left, int64_t top)
{
    const uint8_t colour[3] = {grey ? 120 : 255, grey ? 120 : 220, grey ? 120 : 60};
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)number);
    for (int64_t i = 0; text[i]; i++)
        for (int64_t y = 0; y < 10; y++)
            for (int64_t x = 0; x < 6; x++)
                if (digits[text[i] - '0'] >> (3 * (4 - y / 2) + 2 - x / 2) & 1 &&
                    left + 8 * i + x < sheet->width)
                    draw_dot(sheet, left + 8 * i + x, top + y, colour);
}

static enum reel_status lay_out(const struct reel_event *chunk, int64_t frames, struct sheet *sheet)
{
    const struct reel_picture *picture = &chunk->picture;
    sheet->scale = picture->columns < 80 ? 160 / picture->columns : 2;
    if (picture->columns > 400)
        sheet->scale = 1;
    sheet->cell_width = picture->columns * sheet->scale + MARGIN;
    sheet->cell_height = picture->rows * sheet->scale + MARGIN + LABEL;
    sheet->across = (ACROSS_MAX - MARGIN) / sheet->cell_width;
    if (sheet->across < 1)
        sheet->across = 1;
    if (sheet->across > frames)
        sheet->across = frames;
    sheet->width = MARGIN + sheet->across * sheet->cell_width;
    sheet->height = MARGIN + (frames + sheet->across - 1) / sheet->across * sheet->cell_height;
    sheet->pixels = calloc((size_t)(sheet->width * sheet->height), 3);
    REEL_NEED(sheet->pixels, REEL_NO_MEMORY, "no memory for a contact sheet of %lld x %lld pixels",
              (long long)sheet->width, (long long)sheet->height);
    return REEL_OK;
}

static enum reel_status fail_folder(const char *path, const char *what)
{
    return reel_fail(REEL_BAD_OUTPUT, "%s: output.preview could not be %s: %s", path, what, strerror(errno));
}

enum reel_status reel_preview_open(const char *folder)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return fail_folder(folder, "made");
    return access(folder, W_OK | X_OK) == 0 ? REEL_OK : fail_folder(folder, "written");
}

enum reel_status reel_preview_write(const char *folder, const struct reel_event *chunk)
{
    const struct reel_picture *picture = &chunk->picture;
    char path[PATH_BYTES];
    struct sheet sheet = {0};
    int64_t frames = chunk->finished_frames - picture->first_frame;
    REEL_NEED(
        picture->channels == CHANNELS, REEL_BAD_JOB,
        "output.preview needs latents of %d channels and the model has %lld, expected no output.preview",
        CHANNELS, (long long)picture->channels);
    REEL_PASS(lay_out(chunk, frames, &sheet));
    for (int64_t i = 0; i < frames; i++) {
        int64_t left = MARGIN + i % sheet.across * sheet.cell_width,
                top = MARGIN + i / sheet.across * sheet.cell_height;
        int64_t frame = picture->first_frame + i;
        draw_number(&sheet, frame, i < picture->prefix_frames, left, top);
        draw_frame(&sheet, picture, frame, left, top + LABEL);
    }
    snprintf(path, sizeof path, "%s/chunk-%03lld.png", folder, (long long)chunk->chunk);
    enum reel_status status = reel_png_write(path, "output.preview", sheet.width, sheet.height, sheet.pixels);
    free(sheet.pixels);
    return status;
}
