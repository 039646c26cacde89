/* reel: the program. Every rank runs it; rank 0 speaks. */
#include "command.h"
#include "job_file.h"
#include "notice.h"

#include <hdf5.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "reel samples long videos with diffusion-forcing transformers, sharded over MPI ranks\n"
    "\n"
    "  reel run JOB.yaml [--set key=value ...] [--fresh] [--profile FILE.json]\n"
    "                                                      make the video's latents\n"
    "  reel plan JOB.yaml [--ranks N] [--device NAME] [--all] [--json]\n"
    "                                                      who holds, sends and computes what, without "
    "weights or mpirun\n"
    "  reel inspect FILE|DIR [--json] [--job]              what a model, input, checkpoint or output holds\n"
    "  reel compare A.h5 B.h5 [--plot FILE.png] [--json]   how far B is from A, frame by frame\n"
    "  reel calibrate JOB.yaml [--mode e|e0] [-o FILE.json] [--plot FILE.png] [--json]\n"
    "                                                      TeaCache's coefficients for this job, from a run "
    "without it\n"
    "  reel notify [--wait]                                tells this host's ranks to save and exit (75)\n"
    "  reel --help, reel COMMAND --help, reel --version\n"
    "\n"
    "Start it on several ranks with launch/reel-mpirun -n RANKS reel run JOB.yaml.\n"
    "Exit codes: 0 done, 2 command line or job file, 3 impossible plan, 4 input or weights, 5 output,\n"
    "10 memory, 11 device, 12 communication, 70 internal, 75 preempted.\n";

static void help_run(void)
{
    printf(
        "reel run JOB.yaml [--set key=value ...] [--fresh] [--profile FILE.json]\n\n"
        "Samples the job and writes output.latents after every chunk. --set takes any key of the job file "
        "in\n"
        "dotted form and a YAML value (--set sampler.steps=8); its relative paths count from the working\n"
        "directory. A run goes on from the newest whole checkpoint of its job; --fresh starts over. SIGUSR1, "
        "SIGTERM,\n"
        "SIGINT or SIGHUP to any rank: save, exit 75; the same command goes on.\n\n"
        "  --profile FILE.json   one iteration of every rank, as a Chrome trace: operations, exchanges, "
        "waits\n"
        "                        and the parts of the model, to be opened in chrome://tracing or Perfetto. "
        "It\n"
        "                        is the second that computes, or the first where there is only one\n\n"
        "The keys of a job file:\n\n");
    reel_job_help(stdout);
}

static void help_plan(void)
{
    printf(
        "reel plan JOB.yaml [--set key=value ...] [--ranks N] [--ranks-per-node N] [--device NAME] "
        "[--devices FILE]\n"
        "          [--device-memory SIZE] [--all] [--json]\n\n"
        "Prints the mesh and why it was chosen, the bytes that every rank holds by category and sends by "
        "purpose, what\n"
        "it computes, and about how long the job takes, without weights, devices or mpirun; of the model it "
        "needs\n"
        "config.json only.\n\n"
        "  --ranks N             as if on N ranks\n"
        "  --ranks-per-node N    of which so many share a host (default: 8, or all where there are fewer)\n"
        "  --device NAME         of configs/devices.yaml, or of --devices FILE: its rates and memory "
        "(default: a CPU core)\n"
        "  --device-memory SIZE  what a rank may take, libraries included (80GiB, 24GB, ...)\n"
        "  --all                 every mesh with what it takes\n"
        "  --json                all of it as one JSON object\n\n"
        "Exits with 3 when the plan is impossible; or when no mesh fits, after a table of what would.\n");
}

static void help_inspect(void)
{
    printf(
        "reel inspect FILE|DIR [--json] [--job]\n\n"
        "Says what a model (DIR, FILE.safetensors, synthetic:PRESET), a safetensors file of inputs, a\n"
        "checkpoint or an output of reel is, what it holds and whether it is whole. --json prints one JSON\n"
        "object; --job adds the job of an output or a checkpoint. Exit code 4: the file is missing, damaged, "
        "or\n"
        "nothing that reel knows.\n");
}

static void help_compare(void)
{
    printf(
        "reel compare A.h5 B.h5 [--plot FILE.png] [--json]\n\n"
        "Says how far the latents of output B are from those of output A, the reference: of every latent\n"
        "frame that both have, and over all of them. So a TeaCache threshold is judged against a run\n"
        "without it.\n\n"
        "  relative L2   ||B - A|| / ||A||\n"
        "  PSNR          in dB; its peak is the largest less the smallest latent of A, over its video\n"
        "  SSIM          of every channel's plane, then their mean: Gaussian window of 11 x 11, sigma 1.5,\n"
        "                K1 0.01, K2 0.03, the same peak; a shorter plane has a window of its length\n"
        "  temporal L2   relative L2 of the changes from frame to frame\n\n"
        "  --plot FILE.png   PSNR, SSIM and both L2 over the frames\n"
        "  --json            all of it as one JSON object; null for what is infinite or does not exist\n\n"
        "Exit code 4: a file is no output of reel, their frames have different shapes, or a latent is not\n"
        "finite; 5: the plot could not be written.\n");
}

static void help_calibrate(void)
{
    printf(
        "reel calibrate JOB.yaml [--set key=value ...] [--mode e|e0] [-o FILE.json] [--plot FILE.png] "
        "[--json]\n\n"
        "Runs the job without TeaCache, on any number of ranks, and fits the polynomial that TeaCache needs\n"
        "for such jobs: from the distance of the timestep embedding between two calls, as teacache.metric\n"
        "counts it, to the relative L1 change of the transformer's output, of degree 4, least squares,\n"
        "nowhere negative or falling over the distances of the job. output.latents, log and preview are\n"
        "left alone. Then: teacache: {mode: e0, coefficients: FILE.json}.\n\n"
        "  --mode e|e0       the embedding to calibrate for (default: teacache.mode)\n"
        "  -o FILE.json      the coefficients (default: <output.latents>.coefficients.json)\n"
        "  --plot FILE.png   points and curve (default: the coefficients' name with .png)\n"
        "  --json            coefficients, fit error and every point as one JSON object\n\n"
        "Exit code 2: the job's iterations have too few different distances (about 6 steps do); 5: a file\n"
        "could not be written.\n");
}

static void help_notify(void)
{
    printf(
        "reel notify [--wait]\n\n"
        "Tells every rank of reel run on this host to save and to exit with 75, by SIGUSR1. For node\n"
        "agents and preStop hooks. Ranks are the processes in /proc (of this PID namespace, and of those\n"
        "inside it) that are called reel and whose first word is run: this user's, or for root anybody's.\n"
        "One rank that is told is enough for a job on several hosts. Under mpirun the first process of\n"
        "every host tells. Ranks that are told again more than 10 s later exit at once.\n\n"
        "  --wait   return when all that were told have ended\n\n"
        "Exit code 0 also where no rank runs; 12: one could not be told (it may not be signalled, /proc is\n"
        "another namespace's, Linux is older than 5.3), said when the others were, and have ended.\n");
}

static const struct {
    const char *name;
    void (*help)(void);
} commands[] = {{"run", help_run},         {"plan", help_plan},           {"inspect", help_inspect},
                {"compare", help_compare}, {"calibrate", help_calibrate}, {"notify", help_notify}};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_error(const struct reel_error *error)
{
    fprintf(stderr, "reel: error: %s\n",
            error->cause[0] ? error->cause : "failed without a cause: a defect of reel");
    for (const char *line = error->trail; *line;) {
        int length = (int)strcspn(line, "\n");
        fprintf(stderr, "  while %.*s\n", length, line);
        line += length + (line[length] == '\n');
    }
}

static int is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Answers that need no other rank. Returns 1 when there was nothing more to do. */
static int answered(int count, char **words)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK"); /* only to say it once under mpirun */
    int asked = count >= 2 && (is_help(words[1]) || strcmp(words[1], "--version") == 0);
    for (int i = 2; i < count; i++)
        asked |= is_help(words[i]);
    if (asked && rank && strcmp(rank, "0") != 0)
        return 1;
    if (count == 2 && is_help(words[1])) {
        fputs(usage, stdout);
        return 1;
    }
    if (count == 2 && strcmp(words[1], "--version") == 0) {
        printf("reel %s\n", REEL_VERSION);
        return 1;
    }
    for (int c = 0; c < COMMANDS && count >= 2; c++)
        for (int i = 2; strcmp(words[1], commands[c].name) == 0 && i < count; i++)
            if (is_help(words[i])) {
                commands[c].help();
                return 1;
            }
    return 0;
}

static enum reel_status dispatch(struct reel_comm *comm, int count, char **words)
{
    REEL_NEED(
        count >= 2, REEL_BAD_JOB,
        "there is no command, expected run, plan, inspect, compare, calibrate or notify; see reel --help");
    if (strcmp(words[1], "run") == 0)
        return reel_command_run(comm, count - 2, words + 2);
    if (strcmp(words[1], "plan") == 0) { /* rank 0 alone, and its verdict is everybody's */
        enum reel_status status = REEL_OK;
        if (comm->world.rank == 0)
            status = reel_command_plan(count - 2, words + 2, comm->world.size);
        return reel_agree(comm, status);
    }
    if (strcmp(words[1], "inspect") == 0)
        return reel_command_inspect(comm, count - 2, words + 2);
    if (strcmp(words[1], "compare") == 0)
        return reel_command_compare(comm, count - 2, words + 2);
    if (strcmp(words[1], "calibrate") == 0)
        return reel_command_calibrate(comm, count - 2, words + 2);
    return reel_fail(
        REEL_BAD_JOB,
        "%s is not a command, expected run, plan, inspect, compare, calibrate or notify; see reel --help",
        words[1]);
}

/* Commands that need no other rank; starting MPI for them would take longer than they do. */
static int is_done_alone(const char *command)
{
    return strcmp(command, "notify") == 0 ||
           (strcmp(command, "plan") == 0 && !getenv("OMPI_COMM_WORLD_RANK"));
}

static int run_alone(const char *command, int count, char **words)
{
    signal(SIGPIPE, SIG_IGN);
    enum reel_status status =
        strcmp(command, "plan") == 0 ? reel_command_plan(count, words, 1) : reel_command_notify(count, words);
    if (status != REEL_OK)
        print_error(reel_error_here());
    return (int)status;
}

int main(int count, char **words)
{
    if (answered(count, words))
        return REEL_OK;
    if (count >= 2 && is_done_alone(words[1]))
        return run_alone(words[1], count - 2, words + 2);
    if (count >= 2 && strcmp(words[1], "run") == 0)
        if (!reel_notice_listen()) /* before MPI starts, which takes its time, and threads */
            fprintf(stderr, "reel: warning: no thread can be had to wait for notices\n");
    int provided, rank = 0;
    /* files are renamed when they are whole: HDF5's locks, which some file systems lack, would protect nothing */
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 0);
    setenv("OMPI_MCA_io", "romio321", 0); /* the steadier of the two MPI-IO implementations */
    H5dont_atexit();
    if (MPI_Init_thread(&count, &words, MPI_THREAD_MULTIPLE, &provided) != MPI_SUCCESS) {
        fprintf(stderr, "reel: error: MPI could not start\n");
        return REEL_BAD_COMM;
    }
    signal(SIGPIPE, SIG_IGN); /* nobody reading progress is no reason to stop */
    signal(SIGXFSZ, SIG_IGN); /* a size limit is then an errno of write() */
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    struct reel_comm comm;
    enum reel_status status = reel_comm_open(MPI_COMM_WORLD, &comm);
    if (status == REEL_OK)
        status = dispatch(&comm, count, words);
    if (status == REEL_PREEMPTED && rank == 0)
        fprintf(stderr, "reel: preempted: %s\n", reel_error_here()->cause);
    else if (status != REEL_OK && rank == 0)
        print_error(reel_error_here());
    reel_comm_close(&comm);
    MPI_Finalize();
    return (int)status;
}
