/* reel calibrate: an uncached run on all ranks. Rank 0 measures it, makes the fit and writes it. */
#include "command.h"

#include "arguments.h"
#include "calibrate.h"
#include "calibration.h"
#include "job_file.h"
#include "option_file.h"
#include "progress.h"
#include "sampler.h"
#include "threads.h"
#include "watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MODE, OUTPUT, PLOT, JSON, OPTIONS };

/* Used on rank 0 only, except for job. */
struct session {
    struct reel_job asked; /* its teacache.mode is the mode to calibrate */
    struct reel_job job;   /* the job that runs: uncached, and it writes nothing. The same on every rank */
    char *text;            /* asked as YAML */
    char file[REEL_PATH_BYTES + 32], plot[REEL_PATH_BYTES + 32];
    int json;
    struct reel_progress progress;
    struct reel_calibrate calibrate;
};

/* Where to write. Default: the coefficients beside output.latents, the plot beside the coefficients. */
static enum reel_status name_files(const struct reel_option options[OPTIONS], struct session *session)
{
    if (options[OUTPUT].value) {
        REEL_PASS(reel_option_ending("-o", options[OUTPUT].value, ".json"));
        snprintf(session->file, sizeof session->file, "%s", options[OUTPUT].value);
    } else {
        snprintf(session->file, sizeof session->file, "%s.coefficients.json", session->asked.output.latents);
    }
    if (options[PLOT].value) {
        REEL_PASS(reel_option_ending("--plot", options[PLOT].value, ".png"));
        snprintf(session->plot, sizeof session->plot, "%s", options[PLOT].value);
    } else {
        snprintf(session->plot, sizeof session->plot, "%.*s.png",
                 (int)(strlen(session->file) - strlen(".json")), session->file);
    }
    return REEL_OK;
}

static enum reel_status choose_mode(const char *given, enum reel_teacache_mode *mode)
{
    if (given) {
        REEL_NEED(strcmp(given, "e") == 0 || strcmp(given, "e0") == 0, REEL_BAD_JOB,
                  "--mode is %s, expected e or e0", given);
        *mode = strcmp(given, "e") == 0 ? REEL_TEACACHE_E : REEL_TEACACHE_E0;
    }
    REEL_NEED(*mode != REEL_TEACACHE_OFF, REEL_BAD_JOB,
              "teacache.mode is off, expected e or e0, or the option --mode, which names the embedding to "
              "calibrate");
    return REEL_OK;
}

/* Checks, before the long run, that path can be written: creates and deletes a temporary file beside it. */
static enum reel_status check_writable(const char *path)
{
    char temporary[REEL_PATH_BYTES + 128];
    snprintf(temporary, sizeof temporary, "%s.tmp.%lld", path, (long long)getpid());
    int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    REEL_NEED(file >= 0, REEL_BAD_OUTPUT, "%s could not be written: %s", path, strerror(errno));
    close(file);
    unlink(temporary);
    return REEL_OK;
}

/* Makes the job that runs: without TeaCache, and without any output. */
static void make_uncached(const struct reel_job *asked, struct reel_job *job)
{
    *job = *asked;
    job->teacache.mode = REEL_TEACACHE_OFF;
    memset(job->output.latents, 0, sizeof job->output.latents);
    memset(job->output.log, 0, sizeof job->output.log);
    memset(job->output.preview, 0, sizeof job->output.preview);
    memset(job->checkpoint.directory, 0, sizeof job->checkpoint.directory);
}

/* Finds every error that can be found before weights are loaded. For rank 0. Not collective. */
static enum reel_status prepare_session(int64_t count, char **arguments, int64_t ranks,
                                        struct session *session)
{
    struct reel_option options[OPTIONS] = {[MODE] = {.name = "--mode", .takes_value = 1},
                                           [OUTPUT] = {.name = "-o", .takes_value = 1},
                                           [PLOT] = {.name = "--plot", .takes_value = 1},
                                           [JSON] = {.name = "--json"}};
    REEL_PASS(reel_arguments_read("calibrate", count, arguments, options, OPTIONS, &session->asked));
    REEL_PASS(choose_mode(options[MODE].value, &session->asked.teacache.mode));
    REEL_PASS(name_files(options, session));
    session->json = options[JSON].value != NULL;
    session->text = reel_job_echo(&session->asked);
    REEL_NEED(session->text, REEL_NO_MEMORY, "no memory for the text of the job");
    REEL_PASS(reel_calibrate_open(&session->asked, ranks, &session->calibrate));
    REEL_PASS(check_writable(session->file));
    REEL_PASS(check_writable(session->plot));
    make_uncached(&session->asked, &session->job);
    session->progress = reel_progress_open();
    return REEL_OK;
}

/* Shows progress, except the events that speak of an output file. */
static void show_event(void *context, const struct reel_event *event)
{
    struct session *session = context;
    if (!session->json && event->kind != REEL_EVENT_CHUNK && event->kind != REEL_EVENT_DONE)
        reel_progress_event(&session->progress, event);
}

static void measure_iteration(void *context, int64_t chunk, int64_t iteration, const float *velocity)
{
    struct session *session = context;
    reel_calibrate_measure(&session->calibrate, chunk, iteration, velocity);
}

/* Collective over world. */
static enum reel_status run_job(struct reel_comm *comm, struct session *session)
{
    struct reel_observer observer = {.see = show_event, .measure = measure_iteration, .context = session};
    struct reel_start start = {.job_text = ""};
    struct reel_engine engine;
    struct reel_sampler sampler;
    REEL_PASS(reel_agree(comm, reel_threads_choose(comm)));
    reel_engine_open(&engine, comm, NULL);
    enum reel_status status = reel_sampler_open(&sampler, &engine, &session->job, &start, &observer);
    if (status == REEL_OK)
        status = reel_sample_run(&sampler);
    reel_sampler_close(&sampler);
    reel_engine_close(&engine);
    return status;
}

/* Fits, writes and prints. For rank 0. Not collective. */
static enum reel_status write_results(struct session *session)
{
    struct reel_calibrate *calibrate = &session->calibrate;
    struct reel_calibration calibration = {.mode = session->asked.teacache.mode,
                                           .coefficient_count = REEL_POLYNOMIAL_DEGREE + 1};
    reel_progress_close(&session->progress);
    REEL_PASS(reel_calibrate_fit(calibrate));
    memcpy(calibration.coefficients, calibrate->fit.coefficients, sizeof calibrate->fit.coefficients);
    calibration.min = calibrate->fit.min;
    calibration.max = calibrate->fit.max;
    REEL_PASS(reel_calibration_write(session->file, &calibration, session->text));
    REEL_PASS(reel_calibrate_plot(calibrate, session->plot));
    if (session->json)
        REEL_PASS(reel_calibrate_print_json(calibrate, session->file, session->plot, stdout));
    else
        reel_calibrate_print(calibrate, session->file, session->plot, stdout);
    REEL_NEED(fflush(stdout) == 0, REEL_BAD_OUTPUT, "standard output could not be written: %s",
              strerror(errno));
    return REEL_OK;
}

static enum reel_status run_calibrate(struct reel_comm *comm, int64_t count, char **arguments)
{
    int first = comm->world.rank == 0;
    struct session *session = calloc(1, sizeof *session);
    struct reel_watchdog watchdog = {0};
    enum reel_status status = session ? REEL_OK : reel_fail(REEL_NO_MEMORY, "no memory for the job");
    status = reel_agree(comm, status);
    if (status == REEL_OK)
        status =
            reel_agree(comm, first ? prepare_session(count, arguments, comm->world.size, session) : REEL_OK);
    if (status == REEL_OK)
        status = reel_broadcast(comm, &session->job, (int64_t)sizeof session->job);
    if (status == REEL_OK)
        status = reel_agree(comm, reel_watchdog_open(&watchdog, comm->world.rank, comm->world.size,
                                                     session->job.communication.timeout_s));
    if (status == REEL_OK)
        status = run_job(comm, session);
    if (status == REEL_OK)
        status = reel_agree(comm, first ? write_results(session) : REEL_OK);
    reel_watchdog_close(&watchdog);
    if (session) {
        reel_progress_close(&session->progress);
        reel_calibrate_close(&session->calibrate);
        free(session->text);
    }
    free(session);
    return status;
}

static void help(void)
{
    printf(
        "reel calibrate JOB.yaml [--set key=value ...] [--mode e|e0] [-o FILE.json] [--plot FILE.png] "
        "[--json]\n\n"
        "Runs the job without TeaCache, on any number of ranks, and fits the polynomial that TeaCache needs\n"
        "for such jobs. It maps the distance of the timestep embedding between two calls (teacache.metric)\n"
        "to the relative L1 change of the transformer's output. The fit is of degree 4, by least squares,\n"
        "and is nowhere negative or falling over the distances of the job. output.latents, log and preview\n"
        "are not written. To use the fit: teacache: {mode: e0, coefficients: FILE.json}.\n\n"
        "  --mode e|e0       the embedding to calibrate for (default: teacache.mode)\n"
        "  -o FILE.json      the coefficients (default: <output.latents>.coefficients.json)\n"
        "  --plot FILE.png   points and curve (default: the coefficients' name with .png)\n"
        "  --json            coefficients, fit error and every point as one JSON object\n\n"
        "Exit code 2: the job's iterations have too few different distances (about 6 steps are enough);\n"
        "5: a file could not be written.\n");
}

const struct reel_command reel_command_calibrate = {
    .name = "calibrate",
    .synopsis = "JOB.yaml [--mode e|e0] [-o FILE.json] [--plot FILE.png] [--json]",
    .summary = "TeaCache's coefficients for this job, from a run without it",
    .help = help,
    .ranks = REEL_COMMAND_ALL_RANKS,
    .run = run_calibrate};
