/* reel run: rank 0 reads the job file and sends it to all ranks, which sample the job. */
#include "command.h"

#include "arguments.h"
#include "fault.h"

#include "job_file.h"
#include "log.h"
#include "option_file.h"
#include "preview.h"
#include "progress.h"
#include "sampler.h"
#include "threads.h"
#include "watchdog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The command line's options other than the job: the same on every rank. */
struct options {
    int fresh;
    char profile[REEL_PATH_BYTES]; /* "": none */
};

/* Checks, before the run begins, that its profile can be written. */
static enum reel_status check_profile(const char *path, const struct reel_job *job)
{
    char here[REEL_PATH_BYTES + 1] = "", whole[2 * REEL_PATH_BYTES];
    REEL_PASS(reel_option_ending("--profile", path, ".json"));
    if (path[0] != '/' && getcwd(here, REEL_PATH_BYTES))
        strcat(here, "/");
    snprintf(whole, sizeof whole, "%s%s", here, path); /* absolute, as the job's paths are */
    REEL_NEED(strcmp(whole, job->output.log) != 0, REEL_BAD_JOB,
              "--profile is %s, which is output.log, expected another file", path);
    return reel_option_writable("--profile", path);
}

/* Reads the command line and the job. Not collective; on rank 0. */
static enum reel_status read_arguments(int64_t count, char **arguments, struct reel_job *job,
                                       struct options *options)
{
    enum { FRESH, PROFILE, OPTIONS };
    struct reel_option given[OPTIONS] = {
        [FRESH] = {.name = "--fresh"}, [PROFILE] = {.name = "--profile", .takes_value = 1}};
    REEL_NEED(!reel_fault(REEL_FAULT_JOB_READ), REEL_BAD_JOB, "planted: the job cannot be read");
    REEL_PASS(reel_arguments_read("run", count, arguments, given, OPTIONS, job));
    options->fresh = given[FRESH].value != NULL;
    if (!given[PROFILE].value)
        return REEL_OK;
    REEL_PASS(check_profile(given[PROFILE].value, job));
    snprintf(options->profile, sizeof options->profile, "%s", given[PROFILE].value);
    return REEL_OK;
}

/* Collective over world. Reads the job on rank 0 and sends it to every rank; *text is its YAML, which only
 * rank 0 has and the caller frees. */
static enum reel_status share_job(struct reel_comm *comm, int64_t count, char **arguments,
                                  struct reel_job *job, char **text, struct options *options)
{
    enum reel_status status = REEL_OK;
    *text = NULL;
    memset(job, 0, sizeof *job);
    if (comm->world.rank == 0) {
        status = read_arguments(count, arguments, job, options);
        if (status == REEL_OK && !(*text = reel_job_echo(job)))
            status = reel_fail(REEL_NO_MEMORY, "no memory for the text of the job");
    }
    REEL_PASS(reel_agree(comm, status));
    REEL_PASS(reel_broadcast(comm, options, (int64_t)sizeof *options));
    return reel_broadcast(comm, job, (int64_t)sizeof *job);
}

/* What observes a run on rank 0. */
struct watcher {
    struct reel_log log;
    struct reel_progress progress;
    const char *preview; /* the folder, or "" */
    int preview_failed;
};

static void show_event(void *context, const struct reel_event *event);

/* Writes a contact sheet. The first one that fails is logged; the run continues. */
static void draw_preview(struct watcher *watcher, const struct reel_event *event)
{
    if (reel_preview_write(watcher->preview, event) == REEL_OK || watcher->preview_failed)
        return;
    watcher->preview_failed = 1;
    show_event(watcher, &(struct reel_event){.kind = REEL_EVENT_NOTE, .text = reel_error_here()->cause});
}

static void show_event(void *context, const struct reel_event *event)
{
    struct watcher *watcher = context;
    reel_progress_event(&watcher->progress, event);
    reel_log_event(&watcher->log, event);
    if (event->kind == REEL_EVENT_CHUNK && watcher->preview[0]) {
        draw_preview(watcher, event);
        reel_error_clear();
    }
}

/* Opens the log and the other outputs. Not collective; on rank 0. */
static enum reel_status open_watcher(const struct reel_job *job, struct watcher *watcher)
{
    watcher->progress = reel_progress_open();
    watcher->preview = job->output.preview;
    REEL_PASS(reel_log_open(&watcher->log, job->output.log));
    return watcher->preview[0] ? reel_preview_open(watcher->preview) : REEL_OK;
}

/* Logs that the job was complete before this run. */
static void log_complete(const struct reel_comm *comm, const struct reel_job *job, struct watcher *watcher)
{
    char text[REEL_PATH_BYTES + 64];
    snprintf(text, sizeof text, "%s is complete: nothing is left to do (--fresh starts over)",
             job->output.latents);
    if (comm->world.rank == 0)
        show_event(watcher, &(struct reel_event){.kind = REEL_EVENT_NOTE, .text = text});
}

static enum reel_status run_job(struct reel_comm *comm, const struct reel_job *job,
                                const struct reel_start *start, struct watcher *watcher)
{
    struct reel_observer observer = {.see = show_event, .context = watcher};
    struct reel_engine engine;
    struct reel_sampler sampler;
    enum reel_status status = REEL_OK;
    if (comm->world.rank == 0)
        status = open_watcher(job, watcher);
    REEL_PASS(reel_agree(comm, status));
    REEL_PASS(reel_agree(comm, reel_threads_choose(comm)));
    reel_engine_open(&engine, comm, NULL);
    status = reel_sampler_open(&sampler, &engine, job, start, &observer);
    if (status == REEL_OK && sampler.resume.nothing_to_do)
        log_complete(comm, job, watcher);
    if (status == REEL_OK)
        status = reel_sample_run(&sampler);
    reel_sampler_close(&sampler);
    reel_engine_close(&engine);
    return status;
}

static enum reel_status run_command(struct reel_comm *comm, int64_t count, char **arguments)
{
    struct reel_job *job = calloc(1, sizeof *job);
    struct watcher watcher = {0};
    struct reel_watchdog watchdog = {0};
    char *text = NULL;
    struct options options = {.fresh = 0};
    struct reel_start start = {.profile = options.profile};
    enum reel_status status = job ? REEL_OK : reel_fail(REEL_NO_MEMORY, "no memory for the job");
    status = reel_agree(comm, status);
    if (status == REEL_OK)
        status = share_job(comm, count, arguments, job, &text, &options);
    start.fresh = options.fresh;
    start.job_text = text ? text : "";
    if (status == REEL_OK)
        status = reel_agree(comm, reel_watchdog_open(&watchdog, comm->world.rank, comm->world.size,
                                                     job->communication.timeout_s));
    if (status == REEL_OK)
        status = run_job(comm, job, &start, &watcher);
    if (status != REEL_OK && comm->world.rank == 0)
        reel_log_error(&watcher.log, reel_error_here());
    reel_watchdog_close(&watchdog);
    reel_progress_close(&watcher.progress);
    reel_log_close(&watcher.log);
    free(text);
    free(job);
    return status;
}

static void help(void)
{
    printf(
        "reel run JOB.yaml [--set key=value ...] [--fresh] [--profile FILE.json]\n\n"
        "Samples the job and writes output.latents after every chunk. --set takes any key of the job file\n"
        "in dotted form and a YAML value (--set sampler.steps=8); a relative path in it is relative to the\n"
        "working directory. A run resumes from the newest whole checkpoint of its job; --fresh starts over.\n"
        "SIGUSR1, SIGTERM, SIGINT or SIGHUP to any rank makes the job save and exit with 75; the same\n"
        "command resumes it.\n\n"
        "  --profile FILE.json   a Chrome trace of one iteration of every rank: operations, exchanges,\n"
        "                        waits and parts of the model. Open it in chrome://tracing or Perfetto. It "
        "is\n"
        "                        the second iteration that is computed, or the first if there is only one\n\n"
        "The keys of a job file:\n\n");
    reel_job_help(stdout);
}

const struct reel_command reel_command_run = {
    .name = "run",
    .synopsis = "JOB.yaml [--set key=value ...] [--fresh] [--profile FILE.json]",
    .summary = "make the video's latents",
    .help = help,
    .ranks = REEL_COMMAND_ALL_RANKS,
    .saves_on_notice = 1,
    .run = run_command};
