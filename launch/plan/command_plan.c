/* reel plan: what every rank will hold, send and compute. Needs no weights, devices or mpirun. */
#include "command.h"

#include "arguments.h"
#include "device_file.h"
#include "plan_forecast.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANKS, RANKS_PER_NODE, DEVICE, DEVICES, DEVICE_MEMORY, ALL, JSON, OPTIONS };

static enum reel_status number_of(const struct reel_option *option, int64_t *number)
{
    char *end;
    errno = 0;
    if (!option->value)
        return REEL_OK;
    long long value = strtoll(option->value, &end, 10);
    REEL_NEED(errno == 0 && end != option->value && !*end && value >= 1 && value <= REEL_PARTS_MAX,
              REEL_BAD_JOB, "%s is %s, expected a number from 1 to %d", option->name, option->value,
              REEL_PARTS_MAX);
    *number = value;
    return REEL_OK;
}

/* Reads the options into the number of ranks and the machine that they run on. */
static enum reel_status machine_of(const struct reel_option options[OPTIONS], int64_t *ranks,
                                   struct reel_machine *machine)
{
    const char *devices = options[DEVICES].value;
    machine->device = reel_device_rates_core;
    REEL_PASS(number_of(&options[RANKS], ranks));
    machine->ranks_per_node = *ranks < 8 ? *ranks : 8;
    REEL_PASS(number_of(&options[RANKS_PER_NODE], &machine->ranks_per_node));
    REEL_NEED(!devices || options[DEVICE].value, REEL_BAD_JOB,
              "--devices is %s without --device, expected --device NAME with it", devices);
    if (options[DEVICE].value)
        REEL_PASS(reel_device_rates_read(devices ? devices : "", options[DEVICE].value, &machine->device));
    machine->room_bytes = machine->device.memory_bytes;
    if (options[DEVICE_MEMORY].value)
        REEL_PASS(reel_size_read("--device-memory", options[DEVICE_MEMORY].value, &machine->room_bytes));
    return REEL_OK;
}

/* Prints the plan, or what would fit when nothing fits. The error that nothing fits comes after the printing,
 * so that it is the last line the user sees. */
static enum reel_status print_forecast(const struct reel_job *job, int64_t ranks,
                                       const struct reel_machine *machine,
                                       const struct reel_option options[OPTIONS],
                                       struct reel_forecast *forecast)
{
    int all = options[ALL].value != NULL;
    REEL_PASS(reel_forecast_open(job, ranks, machine, forecast));
    enum reel_status status = REEL_OK;
    if (forecast->candidates.chosen >= 0)
        status = reel_forecast_make(forecast);
    if (status == REEL_OK) {
        if (options[JSON].value)
            reel_forecast_json(forecast, all);
        else
            reel_forecast_text(forecast, all);
        status = reel_candidates_check(&forecast->candidates, ranks, machine);
        if (fflush(stdout) != 0 || ferror(stdout))
            status = reel_fail(REEL_BAD_OUTPUT, "the plan could not be written to standard output: %s",
                               strerror(errno));
    }
    reel_forecast_close(forecast);
    return status;
}

static enum reel_status plan_job(int64_t count, char **argv, int64_t ranks_here)
{
    struct reel_option options[OPTIONS] = {[RANKS] = {.name = "--ranks", .takes_value = 1},
                                           [RANKS_PER_NODE] = {.name = "--ranks-per-node", .takes_value = 1},
                                           [DEVICE] = {.name = "--device", .takes_value = 1},
                                           [DEVICES] = {.name = "--devices", .takes_value = 1},
                                           [DEVICE_MEMORY] = {.name = "--device-memory", .takes_value = 1},
                                           [ALL] = {.name = "--all"},
                                           [JSON] = {.name = "--json"}};
    struct reel_job *job = calloc(1, sizeof *job);
    struct reel_forecast *forecast = calloc(1, sizeof *forecast);
    struct reel_machine machine;
    int64_t ranks = ranks_here;
    enum reel_status status =
        job && forecast ? REEL_OK : reel_fail(REEL_NO_MEMORY, "no memory for the job and its plan");
    if (status == REEL_OK)
        status = reel_arguments_read("plan", count, argv, options, OPTIONS, job);
    if (status == REEL_OK)
        status = machine_of(options, &ranks, &machine);
    if (status == REEL_OK)
        status = print_forecast(job, ranks, &machine, options, forecast);
    free(forecast);
    free(job);
    return status;
}

/* Rank 0 plans; all ranks agree on its status. Collective over world, unless comm is NULL. */
static enum reel_status run_plan(struct reel_comm *comm, int64_t count, char **arguments)
{
    enum reel_status status = REEL_OK;
    if (!comm)
        return plan_job(count, arguments, 1);
    if (comm->world.rank == 0)
        status = plan_job(count, arguments, comm->world.size);
    return reel_agree(comm, status);
}

static void help(void)
{
    printf(
        "reel plan JOB.yaml [--set key=value ...] [--ranks N] [--ranks-per-node N] [--device NAME]\n"
        "          [--devices FILE] [--device-memory SIZE] [--all] [--json]\n\n"
        "Prints the mesh and why it was chosen, the bytes that every rank holds (by category) and sends (by\n"
        "traffic class), what it computes, and about how long the job takes. Needs no weights, devices or\n"
        "mpirun, and of the model only config.json.\n\n"
        "  --ranks N             plan for N ranks (default: those that run, 1 without mpirun)\n"
        "  --ranks-per-node N    ranks that share a host (default: 8, or all when there are fewer)\n"
        "  --device NAME         a device of configs/devices.yaml, or of --devices FILE, with its rates and\n"
        "                        memory (default: a CPU core)\n"
        "  --device-memory SIZE  memory that a rank may take, libraries included (80GiB, 24GB, ...)\n"
        "  --all                 list every possible mesh with its memory, traffic and time\n"
        "  --json                print everything as one JSON object\n\n"
        "Exit code 3: the plan is impossible, or no mesh fits; then a table shows what would fit.\n");
}

const struct reel_command reel_command_plan = {
    .name = "plan",
    .synopsis = "JOB.yaml [--ranks N] [--device NAME] [--all] [--json]",
    .summary = "what every rank holds, sends and computes, without weights or mpirun",
    .help = help,
    .ranks = REEL_COMMAND_RANKS_IF_MANY,
    .run = run_plan};
