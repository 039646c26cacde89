/* What a run shows: a progress bar that fits the terminal, and contact sheets in the colours of the fit. */
#include "log.h"
#include "preview.h"
#include "progress.h"
#include "test.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct reel_event step_of(int64_t iteration)
{
    return (struct reel_event){.kind = REEL_EVENT_STEP,
                               .chunk = 1,
                               .chunks = 12,
                               .iteration = iteration,
                               .of = 30,
                               .seconds = 4.125,
                               .seconds_left = 3725};
}

static struct reel_event loading_of(int64_t done)
{
    return (struct reel_event){.kind = REEL_EVENT_LOADING, .done = done, .all = 544, .seconds = 75};
}

static void the_bar_fits_every_terminal(void)
{
    char text[512];
    for (int columns = 20; columns <= 300; columns++)
        for (int64_t i = 0; i < 60; i++) {
            struct reel_event event = i < 30 ? step_of(i) : loading_of(i * i % 545);
            reel_progress_bar(&event, columns, text, sizeof text);
            CHECK((int)strlen(text) < columns, "%d columns, event %lld: %s", columns, (long long)i, text);
        }
}

static void the_bar_says_where_the_job_stands(void)
{
    char text[512];
    struct reel_event event = step_of(14);
    reel_progress_bar(&event, 80, text, sizeof text);
    CHECK(strcmp(text, "chunk 2/12 [===============>                ] 15/30  4.12 s/it  job: 1h02m left") ==
              0,
          "%s", text);
    event = step_of(29);
    reel_progress_bar(&event, 80, text, sizeof text);
    CHECK(strstr(text, "=] 30/30"), "%s", text);
    event = loading_of(136);
    reel_progress_bar(&event, 60, text, sizeof text);
    CHECK(strcmp(text, "weights [======>                      ] 136/544  3m45s left") == 0, "%s", text);
}

static void the_log_says_what_loading_was_for_every_rank(void)
{
    static const struct reel_loaded loaded[2] = {{.read_bytes = 3000, .kept_bytes = 5000, .seconds = 2},
                                                 {.read_bytes = 1000, .kept_bytes = 6000, .seconds = 4}};
    char path[256], text[1024] = "";
    struct reel_log log;
    struct reel_event event = loading_of(136);
    snprintf(path, sizeof path, "%s/log.jsonl", test_folder());
    CHECK(reel_log_open(&log, path) == REEL_OK, "%s", reel_error_here()->cause);
    reel_log_event(&log, &event); /* too minor for a line */
    event = (struct reel_event){
        .kind = REEL_EVENT_WEIGHTS, .bytes = 4000, .seconds = 4, .loaded = loaded, .ranks = 2};
    reel_log_event(&log, &event);
    reel_log_close(&log);
    FILE *file = fopen(path, "r");
    CHECK(file && fread(text, 1, sizeof text - 1, file) > 0 && fclose(file) == 0, "%s", path);
    CHECK(strncmp(text, "{\"event\":\"weights\",\"bytes\":4000,\"seconds\":4.0,", 46) == 0, "%s", text);
    CHECK(strstr(text, "\"ranks\":[{\"read_bytes\":3000,\"kept_bytes\":5000,\"seconds\":2.0,"), "%s", text);
    CHECK(strstr(text, "{\"read_bytes\":1000,\"kept_bytes\":6000,\"seconds\":4.0,\"gigabytes_per_second\":"),
          "%s", text);
}

enum { C = 16, F = 5, H = 4, W = 100 };
static float latents[C * F * H * W];

static struct reel_event chunk_of(int64_t channels)
{
    return (struct reel_event){.kind = REEL_EVENT_CHUNK,
                               .chunk = 3,
                               .finished_frames = F,
                               .picture = {.latents = latents,
                                           .channels = channels,
                                           .video_frames = F,
                                           .rows = H,
                                           .columns = W,
                                           .first_frame = 2,
                                           .prefix_frames = 1}};
}

static void a_contact_sheet_has_every_frame_of_the_chunk_in_its_colour(void)
{
    char folder[256], path[300];
    snprintf(folder, sizeof folder, "%s/sheets", test_folder());
    snprintf(path, sizeof path, "%s/chunk-003.png", folder);
    for (int64_t i = 0; i < H * W;
         i++) { /* frame 4 is red, by channel 2 alone, and blown out by channel 14 */
        latents[(2 * F + 3) * H * W + i] = 1.0f;
        latents[(14 * F + 4) * H * W + i] = 100.0f;
    }
    struct reel_event chunk = chunk_of(C);
    CHECK(reel_preview_open(folder) == REEL_OK && reel_preview_write(folder, &chunk) == REEL_OK, "%s",
          reel_error_here()->cause);
    png_image image = {.version = PNG_IMAGE_VERSION};
    CHECK(png_image_begin_read_from_file(&image, path), "%s: %s", path, image.message);
    image.format = PNG_FORMAT_RGB;
    CHECK(image.width == 4 + 3 * 204 && image.height == 4 + 26, "%u x %u", image.width, image.height);
    png_bytep pixels = malloc(PNG_IMAGE_SIZE(image));
    CHECK(png_image_finish_read(&image, NULL, pixels, 0, NULL), "%s", image.message);
    const png_byte *grey = pixels + (20 * (int64_t)image.width + 10) * 3, *red = grey + 204 * 3L,
                   *white = red + 204 * 3L;
    CHECK(grey[0] == 104 && grey[1] == 116 && grey[2] == 84, "frame 2 is %d %d %d", grey[0], grey[1],
          grey[2]);
    CHECK(red[0] == 149 && red[1] == 148 && red[2] == 106, "frame 3 is %d %d %d", red[0], red[1], red[2]);
    CHECK(white[0] == 255 && white[1] == 255 && white[2] == 255, "frame 4 is %d %d %d", white[0], white[1],
          white[2]);
    free(pixels);
}

static void what_cannot_be_drawn_is_said(void)
{
    char folder[256];
    struct reel_event chunk = chunk_of(8);
    snprintf(folder, sizeof folder, "%s/sheets", test_folder());
    CHECK(reel_preview_write(folder, &chunk) == REEL_BAD_JOB, "8 channels");
    CHECK(strstr(reel_error_here()->cause, "output.preview needs latents of 16 channels"), "%s",
          reel_error_here()->cause);
    reel_error_clear();
    CHECK(reel_preview_open("/proc/none") == REEL_BAD_OUTPUT, "/proc takes folders");
    reel_error_clear();
    chunk = chunk_of(C);
    CHECK(reel_preview_write("/proc/none", &chunk) == REEL_BAD_OUTPUT, "/proc takes files");
    CHECK(strstr(reel_error_here()->cause, "output.preview could not be written"), "%s",
          reel_error_here()->cause);
    reel_error_clear();
}

int main(void)
{
    RUN(the_bar_fits_every_terminal);
    RUN(the_bar_says_where_the_job_stands);
    RUN(the_log_says_what_loading_was_for_every_rank);
    RUN(a_contact_sheet_has_every_frame_of_the_chunk_in_its_colour);
    RUN(what_cannot_be_drawn_is_said);
    return test_end();
}
