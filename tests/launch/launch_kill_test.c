/* A job is killed at any moment: all of it, a rank, or its launcher. When it is started again, it resumes. No
 * checkpoint that the log reports is lost, every checkpoint in the folder is undamaged, no temporary file is
 * left, and the latents are those of a run without kills. The moments are random, from a seed that is
 * printed: launch_kill_test [KILLS [SEED]]. */
#include "latents.h"
#include "fault.h"
#include "checkpoint_directory.h"
#include "marked.h"
#include "output_read.h"
#include "program.h"
#include "checkpoint_checksums.h"
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int kills = 20;
static unsigned long long dice = 20260731;

/* A random number below max. A generator of our own, because rand() differs between C libraries. */
static int roll(int max)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (int)((dice >> 33) % (unsigned)max);
}

static const char *own(const char *name)
{
    static char paths[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", test_folder(), name);
    return paths[turn];
}

static void in_folder(const char *shell)
{
    char command[2048];
    snprintf(command, sizeof command, "cd %s && %s", test_folder(), shell);
    CHECK(system(command) == 0, "%s", command);
}

/* --- the job's processes --- */

enum victims { ALL, ONE_RANK, MPIRUN };

/* Kills the victims that exist; returns 1 when there was one. */
static int slay(enum victims victims)
{
    struct marked ours[MARKED_MAX];
    int count = marked_find(ours), ranks = 0, killed = 0;
    for (int i = 0; i < count; i++)
        ranks += ours[i].rank >= 0;
    int chosen = ranks > 0 ? roll(ranks) : -1;
    for (int i = 0; i < count; i++)
        if (victims == ALL || (victims == MPIRUN && strcmp(ours[i].name, "mpirun") == 0) ||
            (victims == ONE_RANK && ours[i].rank == chosen))
            killed |= kill(ours[i].process, SIGKILL) == 0;
    return killed;
}

/* --- log and checkpoints --- */

/* In the log after offset `from`, the generation of the checkpoint in the last line with these words before
 * its name; 0: no such line. */
static long long last_in_log(const char *log, long from, const char *words)
{
    static char text[1 << 22];
    long long generation = 0;
    FILE *file = fopen(own(log), "r");
    size_t bytes = file && fseek(file, from, SEEK_SET) == 0 ? fread(text, 1, sizeof text - 1, file) : 0;
    text[bytes] = '\0';
    if (file)
        fclose(file);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        const char *at = strstr(line, words), *name = at ? strstr(at, "/checkpoint-") : NULL;
        if (name)
            generation = atoll(name + strlen("/checkpoint-"));
    }
    return generation;
}

static long size_of(const char *name)
{
    struct stat facts;
    return stat(own(name), &facts) == 0 ? (long)facts.st_size : 0;
}

/* CHECKs that every checkpoint in the folder is undamaged; returns the newest, 0 where there is none. */
static long long newest_of_whole_ones(const char *folder, const char *when)
{
    int64_t *generations = NULL, count = 0;
    long long newest = 0;
    if (access(own(folder), F_OK) != 0)
        return 0;
    CHECK(reel_checkpoint_directory_list(own(folder), &generations, &count) == REEL_OK, "%s",
          reel_error_here()->cause);
    for (int64_t g = 0; g < count; g++) {
        char path[REEL_CHECKPOINT_PATH_BYTES];
        struct reel_checksums checksums;
        reel_checkpoint_directory_file(own(folder), generations[g], path);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        enum reel_status status = reel_checksums_read(file, path, &checksums);
        if (status == REEL_OK)
            status = reel_checksums_check_rest(file, path, &checksums);
        if (status == REEL_OK)
            status = reel_checksums_check_blocks(file, path, &checksums, 0, 1);
        CHECK(status == REEL_OK, "after %s: %s", when, reel_error_here()->cause);
        reel_error_clear();
        close(file);
    }
    if (count > 0)
        newest = generations[0];
    free(generations);
    return newest;
}

/* The number of names in a folder that contain the words. */
static int names(const char *path, const char *words)
{
    int count = 0;
    DIR *listing = opendir(path);
    for (struct dirent *entry; listing && (entry = readdir(listing));)
        count += strstr(entry->d_name, words) != NULL;
    if (listing)
        closedir(listing);
    return count;
}

/* The number of files in /dev/shm in which this folder's checkpoints are made. */
static int is_in_memory(const char *folder)
{
    struct stat facts;
    char name[128];
    if (stat(own(folder), &facts) != 0)
        return 0;
    snprintf(name, sizeof name, "reel-%lld-%llx-%llx", (long long)geteuid(), (unsigned long long)facts.st_dev,
             (unsigned long long)facts.st_ino);
    return names("/dev/shm", name);
}

/* --- the jobs --- */

#define MESH "--set partition.ring=1 --set partition.tensor=1"

/* Jobs of three chunks, with noise in the prefix. The second skips forwards. With MESH, every number of ranks
 * only moves data. */
static const char *const jobs[] = {
    "model: {path: 'synthetic:tiny'}\nvideo: {width: 128, height: 96, frames: 41}\nsampler: {steps: 14}\n"
    "diffusion_forcing: {base_frames: 17, overlap_frames: 5, addnoise_condition: 20}\n",
    "model: {path: 'synthetic:tiny'}\nvideo: {width: 96, height: 64, frames: 41}\nsampler: {steps: 16}\n"
    "diffusion_forcing: {base_frames: 17, overlap_frames: 5, addnoise_condition: 20, ar_step: 1}\n"
    "teacache: {mode: e0, threshold: 1.0, coefficients: [1, 0], start_step: 1}\n"};
enum { JOBS = sizeof jobs / sizeof jobs[0] };

/* Writes the job K.yaml and makes its undisturbed output K.whole.h5. */
static void begin_job(int k)
{
    char text[2048], name[32], command[256];
    snprintf(name, sizeof name, "%d.yaml", k);
    snprintf(text, sizeof text, "%soutput: {latents: %d.h5, log: %d.log}\n", jobs[k], k, k);
    program_file(name, text);
    snprintf(command, sizeof command,
             "run %d.yaml " MESH " --set checkpoint.directory=off --set output.latents=%d.whole.h5", k, k);
    CHECK(program_run(1, "", command) == 0, "%s", program_said);
    snprintf(command, sizeof command, "rm -rf %d.h5 %d.h5.checkpoint %d.log", k, k, k);
    in_folder(command);
}

/* The state before a start of a job. */
struct start {
    char folder[32], log[32];
    long log_bytes;
    long long known; /* the newest checkpoint that the log reports */
};

static struct start look(int k)
{
    struct start start = {.known = 0};
    snprintf(start.folder, sizeof start.folder, "%d.h5.checkpoint", k);
    snprintf(start.log, sizeof start.log, "%d.log", k);
    start.log_bytes = size_of(start.log);
    start.known = last_in_log(start.log, 0, "\"saved\":true");
    return start;
}

/* Checks, after a start that ended in any way, that it resumed from a checkpoint no older than the newest
 * known one, and that none is lost. */
static void nothing_is_lost(int k, const struct start *before, const char *when)
{
    struct start after = look(k);
    long long from = last_in_log(before->log, before->log_bytes, "resumes from "),
              newest = newest_of_whole_ones(before->folder, when);
    CHECK(from == 0 || from >= before->known, "%s: resumes from %lld, but %lld was saved", when, from,
          before->known);
    CHECK(newest >= after.known && newest >= before->known, "%s: %lld is the newest, but %lld was saved",
          when, newest, after.known);
}

/* Runs the job to its end, and checks the result. */
static void ends_well(int k, int ranks, const char *when)
{
    char command[256], output[32], whole[32];
    struct start start = look(k);
    snprintf(command, sizeof command, "run %d.yaml " MESH, k);
    int code = program_run(ranks, marked_environment(), command);
    CHECK(code == 0, "%s: exit %d: %s", when, code, program_said);
    nothing_is_lost(k, &start, when);
    snprintf(output, sizeof output, "%d.h5", k);
    snprintf(whole, sizeof whole, "%d.whole.h5", k);
    CHECK(same_latents(output, whole), "%s: not the latents of an undisturbed run", when);
    CHECK(names(test_folder(), ".tmp") == 0 && names(own(start.folder), ".tmp") == 0 &&
              !is_in_memory(start.folder),
          "%s: something is left aside", when);
    snprintf(command, sizeof command, "rm -rf %d.h5 %d.h5.checkpoint %d.log", k, k, k);
    in_folder(command);
}

/* --- kills --- */

/* Waits for a random moment: some time after the start, or shortly after another checkpoint. */
static void wait_for_a_moment(const struct start *start, pid_t process)
{
    double began = marked_seconds(), patience = 0.05 + 0.001 * roll(900);
    long long wanted = start->known + 1 + roll(4);
    int by_clock = roll(3) == 0;
    while (marked_seconds() - began < (by_clock ? patience : 6)) {
        siginfo_t ended = {.si_pid = 0};
        if (waitid(P_PID, (id_t)process, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid)
            return;
        if (!by_clock && last_in_log(start->log, start->log_bytes, "\"saved\":true") >= wanted)
            break;
        usleep(2000);
    }
    usleep((unsigned)roll(40000));
}

/* Starts the job and kills it at a random moment. Returns 1 when it was killed, 0 when it ended before. */
static int kill_once(int k, int number)
{
    static const char *const whom[] = {"everybody", "a rank", "mpirun"};
    char arguments[256], when[128];
    struct start start = look(k);
    int ranks = 1 + roll(4), lot = roll(10), every = 1 + roll(3);
    enum victims victims = lot < 7 ? ALL : lot < 9 ? ONE_RANK : MPIRUN;
    snprintf(arguments, sizeof arguments,
             "run %d.yaml " MESH " --set checkpoint.every_iterations=%d --set "
             "checkpoint.keep=%d",
             k, every, 1 + roll(3));
    snprintf(when, sizeof when, "kill %d (of %s of %d ranks, job %d)", number, whom[victims], ranks, k);
    pid_t process = program_start("victim", ranks, marked_environment(), arguments);
    wait_for_a_moment(&start, process);
    int killed = slay(victims), code = program_end(process);
    marked_wait(20);
    nothing_is_lost(k, &start, when);
    CHECK(killed || code == 0, "%s: exit %d without a kill", when, code);
    return killed && code != 0;
}

static void whoever_is_killed_whenever_nothing_is_lost(void)
{
    int done = 0;
    for (int k = 0; k < JOBS; k++)
        begin_job(k);
    for (int tries = 0; done < kills && tries < 2 * kills + 10; tries++) {
        int k = tries / 7 % JOBS; /* several starts in a row resume from each other */
        done += kill_once(k, tries);
        if (tries % 7 == 6)
            ends_well(k, 1 + roll(4), "its end");
    }
    for (int k = 0; k < JOBS; k++)
        ends_well(k, 1 + roll(4), "the last end");
    CHECK(done >= kills, "only %d kills hit", done);
}

#ifdef REEL_DEBUG
/* A rank of three dies at this visit of a fault site; then the job resumes on two ranks. */
static void dies_at(enum reel_fault_site site, int rank, int visit)
{
    char fault[800], when[128];
    const char *name = reel_fault_name(site);
    struct start start = look(0);
    snprintf(fault, sizeof fault, "%s REEL_FAULT=%s:%d:%d:kill", marked_environment(), name, rank, visit);
    snprintf(when, sizeof when, "rank %d dies at visit %d of %s", rank, visit, name);
    int code = program_run(3, fault, "run 0.yaml " MESH " --set checkpoint.every_iterations=2");
    CHECK(code == 12, "%s: exit %d: %s", when, code, program_said);
    marked_wait(20);
    nothing_is_lost(0, &start, when);
}

/* The fault sites of the protocol, and whether all ranks reach each, or rank 0 alone. */
static const struct {
    enum reel_fault_site site;
    int all;
} points[] = {
    {REEL_FAULT_CHECKPOINT_HASH, 1}, {REEL_FAULT_CHECKPOINT_SKELETON, 0}, {REEL_FAULT_CHECKPOINT_RESERVE, 0},
    {REEL_FAULT_CHECKPOINT_OPEN, 1}, {REEL_FAULT_CHECKPOINT_WRITE, 1},    {REEL_FAULT_CHECKPOINT_CLOSE, 1},
    {REEL_FAULT_CHECKPOINT_SYNC, 1}, {REEL_FAULT_CHECKPOINT_RENAME, 0},   {REEL_FAULT_CHECKPOINT_RENAMED, 0},
    {REEL_FAULT_OUTPUT_WRITE, 0},    {REEL_FAULT_OUTPUT_RENAME, 0}};

static void at_every_point_of_the_protocol_a_rank_may_die(void)
{
    begin_job(0);
    for (size_t p = 0; p < sizeof points / sizeof points[0]; p++) {
        for (int rank = 0; rank < (points[p].all ? 3 : 1); rank += 2)
            dies_at(points[p].site, rank, 1 + rank);
        if (points[p].all)
            dies_at(points[p].site, 1,
                    4); /* after the first chunk is written, with a checkpoint to resume from */
        ends_well(0, 2, "its end");
    }
}

static void while_it_goes_on_a_rank_may_die_too(void)
{
    dies_at(REEL_FAULT_CHECKPOINT_WRITE, 1, 5);
    dies_at(REEL_FAULT_CHECKPOINT_LOCK, 0, 1);
    for (int rank = 0; rank < 3; rank++)
        dies_at(REEL_FAULT_CHECKPOINT_READ, rank, 1);
    ends_well(0, 2, "its end");
}
#endif

int main(int argc, char **argv)
{
    int planted = argc > 1 && strcmp(argv[1], "planted") == 0;
    if (argc > 1 && !planted)
        kills = atoi(argv[1]);
    if (argc > 2)
        dice = strtoull(argv[2], NULL, 10);
    printf("%d kills, seed %llu\n", kills, dice);
    if (!planted)
        RUN(whoever_is_killed_whenever_nothing_is_lost);
#ifdef REEL_DEBUG
    if (planted) {
        RUN(at_every_point_of_the_protocol_a_rank_may_die);
        RUN(while_it_goes_on_a_rank_may_die_too);
    }
#endif
    return test_end();
}
