/* reel inspect: rank 0 finds the kind of a file, makes the report, and prints it. */
#include "command.h"

#include "inspect.h"
#include "output_read.h"
#include "checkpoint_checksums.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct request {
    const char *path;
    int json, job;
};

static enum reel_status read_arguments(int64_t count, char **arguments, struct request *request)
{
    *request = (struct request){0};
    for (int64_t i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--json") == 0) {
            request->json = 1;
        } else if (strcmp(arguments[i], "--job") == 0) {
            request->job = 1;
        } else if (arguments[i][0] == '-' && arguments[i][1]) {
            return reel_fail(REEL_BAD_JOB, "%s is not an option of reel inspect, expected --json or --job",
                             arguments[i]);
        } else {
            REEL_NEED(!request->path, REEL_BAD_JOB, "reel inspect has two files, %s and %s, expected one",
                      request->path, arguments[i]);
            request->path = arguments[i];
        }
    }
    REEL_NEED(request->path, REEL_BAD_JOB, "reel inspect has no file, expected reel inspect FILE|DIR");
    return REEL_OK;
}

enum kind { MODEL, TENSORS, OUTPUT, CHECKPOINT };

static enum reel_status find_kind(const char *path, enum kind *kind)
{
    struct stat facts;
    int is_model = 1;
    *kind = MODEL;
    if (strncmp(path, "synthetic:", strlen("synthetic:")) == 0)
        return REEL_OK;
    REEL_NEED(stat(path, &facts) == 0, REEL_BAD_INPUT, "%s: %s", path, strerror(errno));
    if (S_ISDIR(facts.st_mode))
        return REEL_OK;
    if (reel_checksums_is_there(path)) {
        *kind = CHECKPOINT;
        return REEL_OK;
    }
    if (reel_output_is_hdf5(path)) {
        *kind = OUTPUT;
        return REEL_OK;
    }
    REEL_PASS(reel_inspect_is_model(path, &is_model));
    *kind = is_model ? MODEL : TENSORS;
    return REEL_OK;
}

static enum reel_status report_on(const struct request *request, enum kind kind, json_t **report)
{
    REEL_NEED(kind == OUTPUT || kind == CHECKPOINT || !request->job, REEL_BAD_JOB,
              "%s: --job is for an output of reel or a checkpoint, and this file is neither", request->path);
    if (kind == CHECKPOINT)
        return reel_inspect_checkpoint(request->path, request->job, report);
    if (kind == OUTPUT)
        return reel_inspect_output(request->path, request->job, report);
    if (kind == TENSORS)
        return reel_inspect_tensors(request->path, report);
    return reel_inspect_model(request->path, report);
}

static void print_report(json_t *report, enum kind kind)
{
    if (kind == CHECKPOINT)
        reel_inspect_print_checkpoint(report, stdout);
    else if (kind == OUTPUT)
        reel_inspect_print_output(report, stdout);
    else if (kind == TENSORS)
        reel_inspect_print_tensors(report, stdout);
    else
        reel_inspect_print_model(report, stdout);
}

static enum reel_status inspect_file(int64_t count, char **arguments)
{
    struct request request;
    enum kind kind;
    json_t *report;
    REEL_PASS(read_arguments(count, arguments, &request));
    REEL_PASS(find_kind(request.path, &kind));
    REEL_PASS(report_on(&request, kind, &report));
    if (request.json) {
        json_dumpf(report, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        putchar('\n');
    } else {
        print_report(report, kind);
    }
    json_decref(report);
    REEL_NEED(fflush(stdout) == 0, REEL_BAD_OUTPUT, "standard output could not be written: %s",
              strerror(errno));
    return REEL_OK;
}

static enum reel_status run_inspect(struct reel_comm *comm, int64_t count, char **arguments)
{
    enum reel_status status = comm->world.rank == 0 ? inspect_file(count, arguments) : REEL_OK;
    return reel_agree(comm, status);
}

static void help(void)
{
    printf(
        "reel inspect FILE|DIR [--json] [--job]\n\n"
        "Shows what a file holds and whether it is complete: a model (DIR, FILE.safetensors,\n"
        "synthetic:PRESET), a safetensors file of inputs, a checkpoint, or an output of reel. --json prints\n"
        "one JSON object; --job adds the job of an output or a checkpoint. Exit code 4: the file is missing\n"
        "or damaged, or its kind is unknown to reel.\n");
}

const struct reel_command reel_command_inspect = {.name = "inspect",
                                                  .synopsis = "FILE|DIR [--json] [--job]",
                                                  .summary =
                                                      "what a model, input, checkpoint or output holds",
                                                  .help = help,
                                                  .ranks = REEL_COMMAND_ALL_RANKS,
                                                  .run = run_inspect};
