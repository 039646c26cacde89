/* reel: the program. Every rank runs it, and rank 0 prints. Two parts print by themselves: the watchdog, when
 * it ends its rank (watchdog.h), and a log that cannot be written (log.h). */
#include "command.h"
#include "preempt_signal.h"
#include "process.h"
#include "storage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct reel_command *const commands[] = {&reel_command_run,       &reel_command_plan,
                                                      &reel_command_inspect,   &reel_command_compare,
                                                      &reel_command_calibrate, &reel_command_notify};

enum { COMMANDS = sizeof commands / sizeof commands[0], SYNOPSIS_COLUMNS = 46, NAMES_BYTES = 128 };

static void print_usage(void)
{
    puts("reel samples long videos with diffusion-forcing transformers, sharded over MPI ranks\n");
    for (int c = 0; c < COMMANDS; c++) {
        int length = printf("  reel %s %s", commands[c]->name, commands[c]->synopsis);
        if (length > SYNOPSIS_COLUMNS + 6)
            length = printf("\n") - 1;
        printf("%*s%s\n", SYNOPSIS_COLUMNS + 8 - length, "", commands[c]->summary);
    }
    puts("  reel --help, reel COMMAND --help, reel --version\n\n"
         "Start it on several ranks with launch/reel-mpirun -n RANKS reel run JOB.yaml.\n"
         "Exit codes: 0 done, 2 command line or job file, 3 impossible plan, 4 input or weights, 5 output,\n"
         "10 memory, 11 device, 12 communication, 70 internal, 75 preempted.");
}

static void print_error(const struct reel_error *error)
{
    fprintf(stderr, "reel: error: %s\n",
            error->cause[0] ? error->cause : "failed without naming a cause: a bug in reel");
    for (const char *line = error->trail; *line;) {
        int length = (int)strcspn(line, "\n");
        fprintf(stderr, "  while %.*s\n", length, line);
        line += length + (line[length] == '\n');
    }
}

static const struct reel_command *command_named(const char *name)
{
    for (int c = 0; c < COMMANDS; c++)
        if (strcmp(commands[c]->name, name) == 0)
            return commands[c];
    return NULL;
}

/* "run, plan, inspect, compare, calibrate or notify" */
static const char *command_names(char text[NAMES_BYTES])
{
    size_t used = 0;
    for (int c = 0; c < COMMANDS; c++)
        used += (size_t)snprintf(text + used, NAMES_BYTES - used, "%s%s",
                                 c == 0              ? ""
                                 : c + 1 == COMMANDS ? " or "
                                                     : ", ",
                                 commands[c]->name);
    return text;
}

static int is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Prints the version or a help page, once under mpirun. Returns 1 if nothing is left to do. */
static int answered(int count, char **argv)
{
    int wants_version = count == 2 && strcmp(argv[1], "--version") == 0;
    int wants_usage = count == 2 && is_help(argv[1]), wants_help = 0;
    const struct reel_command *command = count >= 2 ? command_named(argv[1]) : NULL;
    for (int i = 2; command && i < count; i++)
        wants_help |= is_help(argv[i]);
    if (!wants_version && !wants_usage && !wants_help)
        return 0;
    if (reel_launched_rank() > 0)
        return 1;
    if (wants_version)
        printf("reel %s\n", REEL_VERSION);
    else if (wants_usage)
        print_usage();
    else
        command->help();
    return 1;
}

static enum reel_status dispatch_command(const struct reel_command *command, struct reel_comm *comm,
                                         int count, char **argv)
{
    char names[NAMES_BYTES];
    REEL_NEED(count >= 2, REEL_BAD_JOB, "there is no command, expected %s; see reel --help",
              command_names(names));
    REEL_NEED(command, REEL_BAD_JOB, "%s is not a command, expected %s; see reel --help", argv[1],
              command_names(names));
    return command->run(comm, count - 2, argv + 2);
}

static int runs_without_ranks(const struct reel_command *command)
{
    return command->ranks == REEL_COMMAND_WITHOUT_RANKS ||
           (command->ranks == REEL_COMMAND_RANKS_IF_MANY && reel_launched_rank() < 0);
}

/* Prints the error or the preemption; called on rank 0, or in a process without MPI. */
static void print_outcome(enum reel_status status)
{
    if (status == REEL_PREEMPTED)
        fprintf(stderr, "reel: preempted: %s\n", reel_error_here()->cause);
    else if (status != REEL_OK)
        print_error(reel_error_here());
}

int main(int count, char **argv)
{
    const struct reel_command *command = count >= 2 ? command_named(argv[1]) : NULL;
    struct reel_comm comm;
    if (answered(count, argv))
        return REEL_OK;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe of progress lines must not end the run */
    signal(SIGXFSZ, SIG_IGN); /* a file that exceeds its size limit is then an error of write() */
    if (command && runs_without_ranks(command)) {
        enum reel_status status = dispatch_command(command, NULL, count, argv);
        print_outcome(status);
        return (int)status;
    }
    if (command && command->saves_on_notice && !reel_preempt_signal_listen()) /* before other threads start */
        fprintf(stderr, "reel: warning: the thread that waits for preemption notices cannot be started\n");
    reel_storage_start();
    if (reel_process_start(&count, &argv) != REEL_OK) {
        print_outcome(REEL_BAD_COMM);
        return REEL_BAD_COMM;
    }
    enum reel_status status = reel_comm_open(reel_process_ranks(), &comm);
    if (status == REEL_OK)
        status = dispatch_command(command, &comm, count, argv);
    if (comm.world.rank == 0)
        print_outcome(status);
    reel_comm_close(&comm);
    reel_process_end();
    return (int)status;
}
