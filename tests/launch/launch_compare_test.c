/* reel compare as users start it: its measures agree with their definitions, what it refuses, and the
 * plot. */
#include "output.h"
#include "picture.h"
#include "plot.h"
#include "program.h"
#include "test.h"

#include <hdf5.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FRAMES_MAX = 40 };

/* Latents to write, and how many of the video's four forwards were skipped. */
struct video {
    int64_t channels, frames, rows, columns, video_frames, skipped;
    float *values; /* [channels, frames, rows, columns] */
};

static const char *own(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    return path;
}

static int64_t count_of(const struct video *video)
{
    return video->channels * video->frames * video->rows * video->columns;
}

/* Waves; far is their distance from those with far = 0. The values do not depend on the number of frames. */
static struct video video_of(int64_t channels, int64_t frames, int64_t rows, int64_t columns, double far)
{
    struct video video = {channels, frames, rows, columns, frames, 0, NULL};
    video.values = malloc((size_t)count_of(&video) * sizeof *video.values);
    float *value = video.values;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t f = 0; f < frames; f++)
            for (int64_t y = 0; y < rows; y++)
                for (int64_t x = 0; x < columns; x++) {
                    double device = (double)(3 * c + 2 * f + y * y) + 0.7 * (double)x;
                    *value++ = (float)(3 * sin(device) + far * cos(5 * device + (double)f) + 0.5);
                }
    return video;
}

static struct reel_job job;

/* Writes the video to the file name, as the output of a run with this seed. */
static void write_video(const char *name, const struct video *video, int64_t seed)
{
    static int64_t timesteps[2 * FRAMES_MAX], intervals[4];
    static uint8_t updates[2 * FRAMES_MAX];
    const struct reel_timesteps matrix = {.rows = 2,
                                          .frames = video->video_frames,
                                          .timestep = timesteps,
                                          .update = updates,
                                          .interval = intervals};
    struct reel_call calls[4] = {
        {.branch = 0}, {.branch = 1}, {.iteration = 1}, {.iteration = 1, .branch = 1}};
    for (int i = 0; i < 4; i++)
        calls[i].computed = i < 4 - video->skipped;
    job.video.frames = 4 * (video->video_frames - 1) + 1;
    job.sampler.seed = seed;
    snprintf(job.output.latents, sizeof job.output.latents, "%s", own(name));
    struct reel_output output = {.job = &job,
                                 .job_text = "video: {}\n",
                                 .channels = video->channels,
                                 .video_frames = video->frames,
                                 .rows = video->rows,
                                 .columns = video->columns,
                                 .finished_frames = video->frames,
                                 .latents = video->values,
                                 .matrices = &matrix,
                                 .chunks = 1,
                                 .calls = calls,
                                 .call_count = 4,
                                 .complete = video->frames == video->video_frames};
    CHECK(reel_output_write(&output) == REEL_OK, "%s", reel_error_here()->cause);
}

/* The last command's standard output; the caller frees it. */
static char *said(void)
{
    char *text = calloc(1, 1 << 16);
    FILE *file = fopen(own("stdout"), "r");
    if (fread(text, 1, (1 << 16) - 1, file) == 0)
        text[0] = '\0';
    fclose(file);
    return text;
}

static json_t *compared(int ranks, const char *arguments)
{
    char command[512];
    json_error_t error;
    snprintf(command, sizeof command, "compare %s --json", arguments);
    CHECK(program_run(ranks, "", command) == 0, "%s: %s", command, program_said);
    json_t *report = json_load_file(own("stdout"), 0, &error);
    CHECK(report, "%s: %s", command, error.text);
    return report;
}

/* The number at a path of keys such as "all.ssim", or of a list "frames.3.psnr"; NaN where it is null. */
static double number(const json_t *in, const char *keys)
{
    char key[64];
    for (const char *at = keys; in && *at; at += strcspn(at, "."), at += *at == '.') {
        snprintf(key, sizeof key, "%.*s", (int)strcspn(at, "."), at);
        in = json_is_array(in) ? json_array_get(in, (size_t)atoi(key)) : json_object_get(in, key);
    }
    CHECK(in, "%s is missing", keys);
    return json_is_null(in) ? (double)NAN : json_number_value(in);
}

static double at(const struct video *v, int64_t c, int64_t f, int64_t y, int64_t x)
{
    return (double)v->values[((c * v->frames + f) * v->rows + y) * v->columns + x];
}

static double range_of(const struct video *v)
{
    double min = INFINITY, max = -INFINITY;
    for (int64_t i = 0; i < count_of(v); i++) {
        min = fmin(min, (double)v->values[i]);
        max = fmax(max, (double)v->values[i]);
    }
    return max - min;
}

/* ||b - a||, ||a|| and the number of elements of frames [first, end). With change, these are of the
 * differences to the frame before. */
static void norms(const struct video *a, const struct video *b, int64_t first, int64_t end, int change,
                  double norm[3])
{
    double difference = 0, reference = 0;
    norm[2] = (double)(a->channels * (end - first) * a->rows * a->columns);
    for (int64_t c = 0; c < a->channels; c++)
        for (int64_t f = first; f < end; f++)
            for (int64_t y = 0; y < a->rows; y++)
                for (int64_t x = 0; x < a->columns; x++) {
                    double p = at(a, c, f, y, x) - (change ? at(a, c, f - 1, y, x) : 0);
                    double q = at(b, c, f, y, x) - (change ? at(b, c, f - 1, y, x) : 0);
                    difference += (q - p) * (q - p);
                    reference += p * p;
                }
    norm[0] = sqrt(difference);
    norm[1] = sqrt(reference);
}

/* SSIM at one position: weights in two dimensions, and variances from deviations. */
static double ssim_at(const struct video *a, const struct video *b, const int64_t device[4], double sigma,
                      double peak)
{
    int64_t high = a->rows < 11 ? a->rows : 11, wide = a->columns < 11 ? a->columns : 11;
    double mean[2] = {0, 0}, variance[2] = {0, 0}, covariance = 0, all = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < high * wide; i++) {
            double y = (double)(i / wide) - (double)(high - 1) / 2,
                   x = (double)(i % wide) - (double)(wide - 1) / 2;
            double weight = exp(-(x * x + y * y) / (2 * sigma * sigma));
            double p = at(a, device[0], device[1], device[2] + i / wide, device[3] + i % wide);
            double q = at(b, device[0], device[1], device[2] + i / wide, device[3] + i % wide);
            if (pass == 0) {
                all += weight;
                mean[0] += weight * p;
                mean[1] += weight * q;
            } else {
                variance[0] += weight / all * (p - mean[0] / all) * (p - mean[0] / all);
                variance[1] += weight / all * (q - mean[1] / all) * (q - mean[1] / all);
                covariance += weight / all * (p - mean[0] / all) * (q - mean[1] / all);
            }
        }
    double m = mean[0] / all, n = mean[1] / all, c1 = pow(0.01 * peak, 2), c2 = pow(0.03 * peak, 2);
    return (2 * m * n + c1) / (m * m + n * n + c1) * (2 * covariance + c2) / (variance[0] + variance[1] + c2);
}

static double ssim_of(const struct video *a, const struct video *b, int64_t frame, double sigma, double peak)
{
    double sum = 0;
    int64_t device_from_job = 0;
    for (int64_t c = 0; c < a->channels; c++)
        for (int64_t y = 0; y + (a->rows < 11 ? a->rows : 11) <= a->rows; y++)
            for (int64_t x = 0; x + (a->columns < 11 ? a->columns : 11) <= a->columns; x++, device_from_job++)
                sum += ssim_at(a, b, (const int64_t[4]){c, frame, y, x}, sigma, peak);
    return sum / (double)device_from_job;
}

static void check_near(const char *what, int64_t frame, double found, double expected, double wrong)
{
    double bound = 1e-9 * fabs(expected);
    CHECK(fabs(found - expected) <= bound, "%s of frame %lld is %.12g, expected %.12g", what,
          (long long)frame, found, expected);
    CHECK(fabs(wrong - expected) > bound, "%s of frame %lld: %.12g would have passed", what, (long long)frame,
          wrong);
}

/* Checks frame f's row, or that of all frames for f = -1. The values of similar definitions must be
 * refused. */
static void check_row(const json_t *row, const struct video *a, const struct video *b, int64_t f,
                      double *ssim)
{
    double norm[3], swapped[3], change[3], peak = range_of(a);
    int64_t first = f < 0 ? 0 : f, end = f < 0 ? a->frames : f + 1;
    norms(a, b, first, end, 0, norm);
    norms(b, a, first, end, 0, swapped);
    check_near("relative L2", f, number(row, "relative_l2"), norm[0] / norm[1], swapped[0] / swapped[1]);
    check_near("PSNR", f, number(row, "psnr"), 20 * log10(peak * sqrt(norm[2]) / norm[0]),
               20 * log10(range_of(b) * sqrt(norm[2]) / norm[0]));
    if (f == 0) {
        CHECK(isnan(number(row, "temporal_l2")), "frame 0 follows on no other");
    } else {
        norms(a, b, f < 0 ? 1 : f, end, 1, change);
        check_near("temporal L2", f, number(row, "temporal_l2"), change[0] / change[1], norm[0] / norm[1]);
    }
    if (f >= 0) {
        double of_frame = ssim_of(a, b, f, 1.5, peak);
        check_near("SSIM", f, number(row, "ssim"), of_frame, ssim_of(a, b, f, 1.501, peak));
        *ssim += of_frame / (double)a->frames;
    } else {
        check_near("SSIM", f, number(row, "ssim"), *ssim, ssim_of(a, b, 0, 1.5, peak));
    }
}

static void the_measures_are_their_definitions(void)
{
    static const int64_t sizes[][2] = {{13, 17}, {11, 11}, {4, 12}, {10, 3}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct video a = video_of(3, 4, sizes[s][0], sizes[s][1], 0),
                     b = video_of(3, 4, sizes[s][0], sizes[s][1], 0.4);
        double ssim = 0;
        b.skipped = 1;
        write_video("a.h5", &a, 7);
        write_video("b.h5", &b, 7);
        json_t *report = compared(0, "a.h5 b.h5"), *frames = json_object_get(report, "frames");
        CHECK(json_array_size(frames) == 4 && number(report, "compared_latent_frames") == 4, "%zu frames",
              json_array_size(frames));
        for (int64_t f = 0; f < 4; f++)
            check_row(json_array_get(frames, (size_t)f), &a, &b, f, &ssim);
        check_row(json_object_get(report, "all"), &a, &b, -1, &ssim);
        CHECK(fabs(number(report, "peak") - range_of(&a)) < 1e-9 && range_of(&a) < range_of(&b) - 0.1,
              "peak");
        CHECK(json_is_false(json_object_get(report, "identical")), "they differ");
        CHECK(number(report, "a.computed") == 4 && number(report, "a.skipped") == 0 &&
                  number(report, "b.computed") == 3 && number(report, "b.skipped") == 1,
              "TeaCache");
        json_decref(report);
        free(a.values);
        free(b.values);
    }
}

static void the_table_has_every_frame_in_80_columns(void)
{
    struct video a = video_of(2, 40, 12, 11, 0), b = video_of(2, 40, 12, 11, 1e-6);
    int64_t frame = 0;
    b.skipped = 1;
    write_video("a.h5", &a, 7);
    write_video("b.h5", &b, 8);
    CHECK(program_run(2, "", "compare a.h5 b.h5") == 0, "%s", program_said);
    char *text = said(), *rows = strstr(text, "relative L2");
    for (char *line = text; *line; line += strcspn(line, "\n") + 1)
        CHECK(strcspn(line, "\n") <= 80, "%.*s", (int)strcspn(line, "\n"), line);
    for (rows = strchr(rows, '\n') + 1; atoll(rows) == frame && frame < 40; rows = strchr(rows, '\n') + 1)
        frame++;
    CHECK(frame == 40 && strncmp(rows, "     all ", 9) == 0, "%lld rows, then %s", (long long)frame, rows);
    CHECK(strstr(text, "note: the seeds differ") && strstr(text, ", 25% skipped\n") &&
              !strstr(text, "complete"),
          "%s", text);
    CHECK(strstr(strstr(text, "A, the reference") + 1, "A, the reference") == NULL, "two ranks spoke: %s",
          text);
    free(text);
    free(a.values);
    free(b.values);
}

static void an_output_is_identical_to_itself(void)
{
    struct video a = video_of(2, 3, 12, 11, 0);
    write_video("a.h5", &a, 7);
    json_t *report = compared(2, "a.h5 a.h5 --plot same.png");
    CHECK(json_is_true(json_object_get(report, "identical")) && isnan(number(report, "all.psnr")) &&
              isnan(number(report, "frames.2.psnr")) && number(report, "all.ssim") == 1 &&
              number(report, "frames.2.ssim") == 1 && number(report, "all.relative_l2") == 0 &&
              number(report, "frames.1.temporal_l2") == 0,
          "not identical");
    json_decref(report);
    CHECK(program_run(0, "", "compare a.h5 a.h5") == 0, "%s", program_said);
    char *text = said();
    CHECK(strstr(text, "B is identical to A") && strstr(text, "  inf ") && !strstr(text, "note: "), "%s",
          text);
    free(text);
    free(a.values);
}

static void an_unfinished_output_is_compared_as_far_as_it_goes(void)
{
    struct video a = video_of(2, 5, 12, 11, 0), b = video_of(2, 3, 12, 11, 0.3),
                 start = video_of(2, 3, 12, 11, 0);
    double norm[3];
    b.video_frames = 5;
    a.values[4 * 132] = 20; /* in the last frame: the range is taken over the whole video */
    write_video("a.h5", &a, 7);
    write_video("b.h5", &b, 7);
    json_t *report = compared(0, "a.h5 b.h5");
    norms(&start, &b, 0, 3, 0, norm);
    check_near("relative L2", -1, number(report, "all.relative_l2"), norm[0] / norm[1], 0);
    CHECK(number(report, "compared_latent_frames") == 3 && number(report, "b.latent_frames") == 5 &&
              number(report, "b.finished_latent_frames") == 3 &&
              fabs(number(report, "peak") - range_of(&a)) < 1e-9,
          "not the first three frames, with A's whole peak");
    json_decref(report);
    CHECK(program_run(0, "", "compare a.h5 b.h5") == 0, "%s", program_said);
    char *text = said();
    CHECK(strstr(text, "the 3 latent frames that both have are compared") &&
              strstr(text, "note: B is not complete"),
          "%s", text);
    free(text);
    free(a.values);
    free(b.values);
    free(start.values);
}

static void a_reference_that_stands_still_has_infinite_ratios(void)
{
    struct video a = video_of(1, 2, 12, 11, 0), b = video_of(1, 2, 12, 11, 0.1);
    memcpy(a.values + 132, a.values, 132 * sizeof *a.values);
    write_video("a.h5", &a, 7);
    write_video("b.h5", &b, 7);
    json_t *report = compared(0, "a.h5 b.h5");
    CHECK(isnan(number(report, "frames.1.temporal_l2")) && isnan(number(report, "all.temporal_l2")) &&
              number(report, "frames.1.relative_l2") > 0,
          "a ratio to nothing");
    json_decref(report);
    free(a.values);
    free(b.values);
}

/* Copies a.h5 to bad.h5 and opens it. */
static hid_t bad_file(void)
{
    char command[1200];
    snprintf(command, sizeof command, "cp %s/a.h5 %s/bad.h5", test_folder(), test_folder());
    CHECK(system(command) == 0, "%s", command);
    return H5Fopen(own("bad.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
}

static void check_missing(const char *dataset)
{
    char sentence[256];
    hid_t file = bad_file();
    H5Ldelete(file, dataset, H5P_DEFAULT);
    H5Fclose(file);
    snprintf(sentence, sizeof sentence, "bad.h5: expected an output of reel, but the dataset %s is missing",
             dataset);
    program_fails(0, "compare a.h5 bad.h5", 4, sentence);
    program_fails(0, "compare bad.h5 a.h5", 4, sentence);
}

static void what_cannot_be_compared_is_refused(void)
{
    struct video a = video_of(2, 3, 12, 11, 0), wide = video_of(2, 3, 11, 12, 0),
                 none = video_of(2, 0, 12, 11, 0);
    write_video("a.h5", &a, 7);
    write_video("wide.h5", &wide, 7);
    none.video_frames = 3;
    write_video("none.h5", &none, 7);
    a.values[5] = NAN;
    a.values[9] = -INFINITY;
    write_video("nan.h5", &a, 7);
    for (int64_t i = 0; i < count_of(&a); i++)
        a.values[i] = 0.25f;
    write_video("flat.h5", &a, 7);
    program_file("text.h5", "no HDF5\n");
    program_fails(0, "compare a.h5 wide.h5", 4,
                  "a.h5 has latents of 2 channels x 12 x 11 and wide.h5 of 2 channels x 11 x 12");
    program_fails(0, "compare a.h5 none.h5", 4, "none.h5 has no finished latent frame");
    program_fails(0, "compare none.h5 a.h5", 4, "none.h5 has no finished latent frame");
    program_fails(2, "compare a.h5 nan.h5", 4, "nan.h5: 2 of its 792 latents are not finite");
    program_fails(0, "compare nan.h5 a.h5", 4, "nan.h5: 2 of its 792 latents are not finite");
    program_fails(0, "compare flat.h5 a.h5", 4, "flat.h5: its latents are all 0.25");
    program_fails(0, "compare a.h5 text.h5", 4, "text.h5: expected an HDF5 file");
    program_fails(0, "compare . a.h5", 4, ".: expected an HDF5 file");
    program_fails(2, "compare a.h5 absent.h5", 4, "absent.h5: No such file");
    check_missing("/latents");
    check_missing("/teacache/decisions");
    H5Fclose(bad_file());
    CHECK(truncate(own("bad.h5"), 1000) == 0, "not cut short");
    program_fails(0, "compare a.h5 bad.h5", 4, "damaged or cut short");
    free(a.values);
    free(wide.values);
    free(none.values);
}

static void a_wrong_command_line_is_refused(void)
{
    program_fails(0, "compare", 2, "reel compare has no files, expected reel compare A.h5 B.h5");
    program_fails(2, "compare a.h5", 2, "reel compare has one file, expected reel compare A.h5 B.h5");
    program_fails(0, "compare a.h5 a.h5 a.h5", 2, "more than two files");
    program_fails(0, "compare a.h5 a.h5 --yaml", 2, "--yaml is not an option of reel compare");
    program_fails(0, "compare a.h5 a.h5 --plot", 2, "--plot has no file");
    program_fails(0, "compare a.h5 --plot a.h5", 2, "--plot is a.h5, expected a file that ends in .png");
    program_fails(0, "compare a.h5 a.h5 --plot a.png --plot b.png", 2, "--plot is given twice");
    CHECK(program_run(2, "", "compare --help") == 0, "%s", program_said);
    char *text = said();
    CHECK(strncmp(text, "reel compare A.h5 B.h5 [--plot FILE.png] [--json]", 49) == 0 &&
              !strstr(text + 1, "reel comp"),
          "%s", text);
    free(text);
}

static void the_plot_has_three_panels_in_their_colours(void)
{
    static const uint32_t colours[3][2] = {{REEL_PLOT_BLUE, REEL_PLOT_BLUE},
                                           {REEL_PLOT_GREEN, REEL_PLOT_GREEN},
                                           {REEL_PLOT_ORANGE, REEL_PLOT_PURPLE}};
    struct video a = video_of(2, 30, 12, 11, 0), b = video_of(2, 30, 12, 11, 0.4);
    write_video("a.h5", &a, 7);
    write_video("b.h5", &b, 7);
    CHECK(program_run(2, "", "compare a.h5 b.h5 --plot plot.png") == 0, "%s", program_said);
    struct picture plot = picture_read(own("plot.png"));
    CHECK(plot.width == REEL_PLOT_WIDTH && plot.height == REEL_PLOT_HEAD + 3 * REEL_PLOT_PANEL, "%lld x %lld",
          (long long)plot.width, (long long)plot.height);
    for (int p = 0; p < 3; p++)
        for (int c = 0; c < 2; c++) {
            int64_t top = REEL_PLOT_HEAD + p * REEL_PLOT_PANEL;
            picture_find(&plot, colours[p][c], 0, plot.width, top, top + REEL_PLOT_PANEL);
            CHECK(plot.count > 500 && plot.right - plot.left > plot.width * 3 / 4, "panel %d: %lld pixels", p,
                  (long long)plot.count);
            picture_find(&plot, colours[p][c], 0, plot.width, 0, top);
            CHECK(plot.count == 0 || (p > 0 && colours[p - 1][0] == colours[p][c]), "panel %d above itself",
                  p);
        }
    free(plot.pixels);
    free(a.values);
    free(b.values);
}

static void a_plot_that_cannot_be_written_leaves_the_table(void)
{
    program_fails(2, "compare a.h5 b.h5 --plot absent/plot.png", 5,
                  "absent/plot.png: --plot could not be written: No such file");
    char *text = said(), command[512];
    CHECK(strstr(text, "     all "), "%s", text);
    free(text);
    snprintf(command, sizeof command, "mkdir %s/folder.png", test_folder());
    CHECK(system(command) == 0, "%s", command);
    program_fails(0, "compare a.h5 b.h5 --plot folder.png", 5,
                  "folder.png: --plot could not be put in place");
    snprintf(command, sizeof command, "ls -A %s | grep -q tmp", test_folder());
    CHECK(system(command) != 0, "a file was left aside");
}

int main(void)
{
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    RUN(the_measures_are_their_definitions);
    RUN(the_table_has_every_frame_in_80_columns);
    RUN(an_output_is_identical_to_itself);
    RUN(an_unfinished_output_is_compared_as_far_as_it_goes);
    RUN(a_reference_that_stands_still_has_infinite_ratios);
    RUN(what_cannot_be_compared_is_refused);
    RUN(a_wrong_command_line_is_refused);
    RUN(the_plot_has_three_panels_in_their_colours);
    RUN(a_plot_that_cannot_be_written_leaves_the_table);
    return test_end();
}
