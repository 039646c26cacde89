/* Command lines. */
#include "arguments.h"

#include "job_file.h"

#include <stdlib.h>
#include <string.h>

static struct reel_option *option_named(struct reel_option *options, int64_t count, const char *name)
{
    for (int64_t i = 0; i < count; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

/* Sorts the arguments: the job file to *path, settings to sets [*set_count], options to their values. */
static enum reel_status sort_arguments(const char *command, int64_t count, char **argv,
                                       struct reel_option *options, int64_t option_count, const char **path,
                                       const char **sets, int64_t *set_count)
{
    for (int64_t i = 0; i < count; i++) {
        struct reel_option *option = option_named(options, option_count, argv[i]);
        if (strcmp(argv[i], "--set") == 0) {
            REEL_NEED(i + 1 < count, REEL_BAD_JOB, "--set is the last argument, expected key=value after it");
            sets[(*set_count)++] = argv[++i];
        } else if (strncmp(argv[i], "--set=", 6) == 0) {
            sets[(*set_count)++] = argv[i] + 6;
        } else if (option) {
            REEL_NEED(!option->takes_value || i + 1 < count, REEL_BAD_JOB,
                      "%s is the last argument, expected its value after it", argv[i]);
            option->value = option->takes_value ? argv[++i] : "";
        } else if (argv[i][0] == '-' && argv[i][1]) {
            return reel_fail(REEL_BAD_JOB, "%s is not an option of reel %s, see reel %s --help", argv[i],
                             command, command);
        } else {
            REEL_NEED(!*path, REEL_BAD_JOB, "reel %s has two job files, %s and %s, expected one", command,
                      *path, argv[i]);
            *path = argv[i];
        }
    }
    REEL_NEED(*path, REEL_BAD_JOB, "reel %s has no job file, expected reel %s JOB.yaml", command, command);
    return REEL_OK;
}

enum reel_status reel_arguments_read(const char *command, int64_t count, char **argv,
                                     struct reel_option *options, int64_t option_count, struct reel_job *job)
{
    const char *path = NULL, **sets = calloc((size_t)count + 1, sizeof *sets);
    int64_t set_count = 0;
    REEL_NEED(sets, REEL_NO_MEMORY, "no memory for %lld arguments", (long long)count);
    enum reel_status status =
        sort_arguments(command, count, argv, options, option_count, &path, sets, &set_count);
    if (status == REEL_OK)
        status = reel_job_load(path, sets, set_count, job);
    free(sets);
    return status;
}
