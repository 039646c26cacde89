/* reel compare: rank 0 reads, measures, prints and plots. */
#include "command.h"

#include "compare.h"

#include <errno.h>
#include <string.h>

struct request {
    const char *path[REEL_COMPARE_SIDES];
    const char *plot; /* NULL: none */
    int json;
};

/* --plot A.h5 by mistake would overwrite an output; the required ending .png prevents that. */
static enum reel_status check_plot(const char *path)
{
    size_t length = path ? strlen(path) : 0;
    REEL_NEED(path, REEL_BAD_JOB, "--plot has no file, expected --plot FILE.png");
    REEL_NEED(length > 4 && strcmp(path + length - 4, ".png") == 0, REEL_BAD_JOB,
              "--plot is %s, expected a file that ends in .png", path);
    return REEL_OK;
}

static enum reel_status read_arguments(int64_t count, char **arguments, struct request *request)
{
    int files = 0;
    *request = (struct request){0};
    for (int64_t i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--json") == 0) {
            request->json = 1;
        } else if (strcmp(arguments[i], "--plot") == 0) {
            REEL_NEED(!request->plot, REEL_BAD_JOB, "--plot is given twice, expected once");
            request->plot = i + 1 < count ? arguments[++i] : NULL;
            REEL_PASS(check_plot(request->plot));
        } else if (arguments[i][0] == '-' && arguments[i][1]) {
            return reel_fail(REEL_BAD_JOB, "%s is not an option of reel compare, expected --plot or --json",
                             arguments[i]);
        } else {
            REEL_NEED(files < REEL_COMPARE_SIDES, REEL_BAD_JOB,
                      "reel compare has more than two files (%s is the third), expected A.h5 B.h5",
                      arguments[i]);
            request->path[files++] = arguments[i];
        }
    }
    REEL_NEED(files == REEL_COMPARE_SIDES, REEL_BAD_JOB,
              "reel compare has %s, expected reel compare A.h5 B.h5", files == 0 ? "no files" : "one file");
    return REEL_OK;
}

/* Prints first, because the plot may fail. */
static enum reel_status report_comparison(const struct reel_comparison *comparison,
                                          const struct request *request)
{
    if (request->json)
        REEL_PASS(reel_comparison_print_json(comparison, stdout));
    else
        reel_comparison_print(comparison, stdout);
    REEL_NEED(fflush(stdout) == 0, REEL_BAD_OUTPUT, "standard output could not be written: %s",
              strerror(errno));
    return request->plot ? reel_comparison_plot(comparison, request->plot) : REEL_OK;
}

static enum reel_status compare_files(int64_t count, char **arguments)
{
    struct request request;
    struct reel_comparison comparison;
    REEL_PASS(read_arguments(count, arguments, &request));
    REEL_PASS(reel_comparison_open(request.path[0], request.path[1], &comparison));
    enum reel_status status = report_comparison(&comparison, &request);
    reel_comparison_close(&comparison);
    return status;
}

static enum reel_status run_compare(struct reel_comm *comm, int64_t count, char **arguments)
{
    enum reel_status status = comm->world.rank == 0 ? compare_files(count, arguments) : REEL_OK;
    return reel_agree(comm, status);
}

static void help(void)
{
    printf(
        "reel compare A.h5 B.h5 [--plot FILE.png] [--json]\n\n"
        "Measures how far the latents of output B are from those of output A, the reference: for every\n"
        "latent frame that both have, and over all of them. Use it to judge a TeaCache threshold against a\n"
        "run without TeaCache.\n\n"
        "  relative L2   ||B - A|| / ||A||\n"
        "  PSNR          in dB; its peak is the largest minus the smallest latent of A, over all its frames\n"
        "  SSIM          mean over the planes of the channels: Gaussian window of 11 x 11, sigma 1.5,\n"
        "                K1 0.01, K2 0.03, the same peak; no longer than the axis it runs along\n"
        "  temporal L2   relative L2 of the differences between consecutive frames\n\n"
        "  --plot FILE.png   PSNR, SSIM and both L2 over the frames\n"
        "  --json            everything as one JSON object; null for infinite or missing values\n\n"
        "Exit code 4: a file is not an output of reel, their frames have different shapes, or a latent is\n"
        "not finite; 5: the plot could not be written.\n");
}

const struct reel_command reel_command_compare = {.name = "compare",
                                                  .synopsis = "A.h5 B.h5 [--plot FILE.png] [--json]",
                                                  .summary = "how far B is from A, frame by frame",
                                                  .help = help,
                                                  .ranks = REEL_COMMAND_ALL_RANKS,
                                                  .run = run_compare};
