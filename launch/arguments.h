/* The arguments of a command that works on a job: JOB.yaml, --set key=value, and the command's options. */
#ifndef REEL_ARGUMENTS_H
#define REEL_ARGUMENTS_H

#include "job.h"
#include "status.h"

/* One option of a command. */
struct reel_option {
    const char *name;  /* "--ranks" */
    int takes_value;   /* 1: the next argument is its value */
    const char *value; /* out: the value, or "" for a flag that is given; NULL if it is not given */
};

/* Not collective. Reads argv [count] into the job and the options [option_count]; command is its name, for
 * messages. REEL_BAD_JOB for an error in the arguments or the job file. */
enum reel_status reel_arguments_read(const char *command, int64_t count, char **argv,
                                     struct reel_option *options, int64_t option_count, struct reel_job *job);

#endif
