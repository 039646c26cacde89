/* The preemption notice as users, shells and agents give it. From any sender, however often and at any moment
 * it comes, the job saves once, exits with 75, and resumes to exactly the latents of an undisturbed run. */
#include "latents.h"
#include "marked.h"
#include "output_read.h"
#include "program.h"
#include "test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESH "--set partition.ring=1 --set partition.tensor=1"

static int whole; /* everything, else a subset */

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

/* --- output of a start --- */

/* The content of a file of the test's folder after offset `from`. */
static const char *text_of(const char *name, long from)
{
    static char text[1 << 22];
    FILE *file = fopen(own(name), "r");
    size_t bytes = file && fseek(file, from, SEEK_SET) == 0 ? fread(text, 1, sizeof text - 1, file) : 0;
    text[bytes] = '\0';
    if (file)
        fclose(file);
    return text;
}

static int times(const char *text, const char *words)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, words)); at++)
        count++;
    return count;
}

/* The chunk and iteration in the last line with these words. */
static int last_place(const char *text, const char *words, long long *chunk, long long *iteration)
{
    const char *at = NULL;
    for (const char *next = text; (next = strstr(next, words)); next++)
        at = next;
    const char *first = at ? strstr(at, "\"chunk\":") : NULL;
    return first && sscanf(first, "\"chunk\":%lld,\"iteration\":%lld", chunk, iteration) == 2;
}

#define STEP "\"event\":\"step\""
#define SAVED "\"event\":\"checkpoint\",\"saved\":true"

/* A running job and its output. */
struct run {
    pid_t process;
    const char *name, *log;
    long log_bytes; /* the log's length before this start */
};

static struct run start(const char *name, int ranks, const char *arguments)
{
    static char log[4][64];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(log[turn], sizeof log[turn], "%s.log", name);
    struct run run = {.name = name, .log = log[turn]};
    run.log_bytes = (long)strlen(text_of(run.log, 0));
    run.process = program_lead(name, ranks, marked_environment(), arguments);
    return run;
}

static const char *log_of(const struct run *run)
{
    return text_of(run->log, run->log_bytes);
}

static int has_ended(pid_t process)
{
    siginfo_t ended = {.si_pid = 0};
    return waitid(P_PID, (id_t)process, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid != 0;
}

/* Whether the log of the run contains the words `count` times before the run ends and within a minute. */
static int comes(const struct run *run, const char *words, int count)
{
    double began = marked_seconds();
    while (marked_seconds() - began < 60) {
        if (times(log_of(run), words) >= count)
            return 1;
        if (has_ended(run->process))
            return times(log_of(run), words) >= count;
        usleep(5000);
    }
    return 0;
}

/* The exit code of the run. A run that does not end within a minute is killed, and the result is -1. */
static int end_of(const struct run *run)
{
    double began = marked_seconds();
    while (!has_ended(run->process) && marked_seconds() - began < 60)
        usleep(5000);
    int ended = has_ended(run->process);
    if (!ended)
        kill(run->process, SIGKILL);
    int code = program_end(run->process);
    marked_wait(ended ? 20 : 0);
    return ended ? code : -1;
}

static const char *errors_of(const struct run *run)
{
    char name[128];
    snprintf(name, sizeof name, "%s.stderr", run->name);
    return text_of(name, 0);
}

/* Writes the job NAME.yaml and makes NAME.whole.h5 in an undisturbed run. */
static void begin_job(const char *name, const char *text)
{
    char yaml[2048], file[64], command[256];
    snprintf(yaml, sizeof yaml, "%soutput: {latents: %s.h5, log: %s.log}\n", text, name, name);
    snprintf(file, sizeof file, "%s.yaml", name);
    program_file(file, yaml);
    snprintf(command, sizeof command,
             "run %s.yaml " MESH " --set checkpoint.directory=off --set output.latents=%s/%s.whole.h5", name,
             test_folder(), name);
    CHECK(program_run(2, "", command) == 0, "%s", program_said);
    snprintf(command, sizeof command, "rm -rf %s.log %s.h5*", name, name);
    in_folder(command);
}

/* Runs the job to its end; it must give the latents of the undisturbed run. */
static void ends_alike(const char *name, int ranks)
{
    char command[256], output[64], peace[64];
    snprintf(command, sizeof command, "run %s.yaml " MESH, name);
    CHECK(program_run(ranks, marked_environment(), command) == 0, "%s: %s", name, program_said);
    snprintf(output, sizeof output, "%s.h5", name);
    snprintf(peace, sizeof peace, "%s.whole.h5", name);
    CHECK(same_latents(output, peace), "%s has not the latents of a run in peace", name);
}

/* --- who may give the notice --- */

static const char yields[] =
    "model: {path: 'synthetic:tiny'}\nvideo: {width: 192, height: 128, frames: 41}\n"
    "sampler: {steps: 40}\n"
    "diffusion_forcing: {base_frames: 17, overlap_frames: 5, addnoise_condition: 20}\n";

/* The same job with fewer frames and steps. */
static const char hasty[] =
    "model: {path: 'synthetic:tiny'}\nvideo: {width: 192, height: 128, frames: 29}\n"
    "sampler: {steps: 30}\n"
    "diffusion_forcing: {base_frames: 17, overlap_frames: 5, addnoise_condition: 20}\n";

enum receiver { LAUNCHER, GROUP, RANK };

static void tell(const struct run *run, enum receiver receiver, int signal)
{
    if (receiver == RANK) {
        pid_t rank = marked_rank(1);
        CHECK(rank > 0, "rank 1 is not there");
        if (rank > 0)
            kill(rank, signal);
    } else {
        kill(receiver == GROUP ? -run->process : run->process, signal);
    }
}

/* Checks that the run saved once, because of the notice, and reported it. */
static void was_preempted(const struct run *run, int code, const char *what)
{
    CHECK(code == 75, "%s: exit %d: %s", what, code, errors_of(run));
    CHECK(times(errors_of(run), "reel: preempted: a notice came: everything up to chunk") == 1 &&
              times(errors_of(run), "error") == 0,
          "%s: %s", what, errors_of(run));
    CHECK(times(log_of(run), SAVED) == 1 && times(log_of(run), "\"why\":\"notice\"") == 1,
          "%s: saved %d times", what, times(log_of(run), SAVED));
    CHECK(times(log_of(run), "\"event\":\"preempted\"") == 1, "%s: the log does not say so", what);
}

static void from_whomever_it_comes_it_is_one_notice(void)
{
    static const struct {
        enum receiver receiver;
        int signal, often;
        const char *what;
    } notices[] = {{LAUNCHER, SIGUSR1, 1, "USR1 to reel-mpirun"}, {LAUNCHER, SIGHUP, 2, "HUP to reel-mpirun"},
                   {LAUNCHER, SIGTERM, 1, "TERM to reel-mpirun"}, {GROUP, SIGUSR1, 2, "USR1 to the group"},
                   {GROUP, SIGTERM, 2, "TERM to the group"},      {GROUP, SIGINT, 2, "INT to the group"},
                   {RANK, SIGTERM, 1, "TERM to a rank"},          {RANK, SIGHUP, 1, "HUP to a rank"},
                   {RANK, SIGUSR1, 2, "USR1 to a rank"},          {RANK, SIGINT, 3, "INT to a rank"}};
    begin_job("patient", whole ? yields : hasty);
    for (size_t n = 0; n < sizeof notices / sizeof notices[0]; n += whole ? 1 : 2) {
        struct run run = start("patient", 3, "run patient.yaml " MESH);
        CHECK(comes(&run, STEP, 2), "%s: no steps: %s", notices[n].what, errors_of(&run));
        for (int i = 0; i < notices[n].often; i++) {
            tell(&run, notices[n].receiver, notices[n].signal);
            usleep(i + 1 < notices[n].often ? 20000 : 0);
        }
        was_preempted(&run, end_of(&run), notices[n].what);
    }
    ends_alike("patient", 2);
}

/* --- when the notice may come --- */

/* From the moment that reel-mpirun has started mpirun: before ranks exist, while MPI starts, while weights
 * are read, ... */
static void whenever_it_comes_it_is_heard(void)
{
    static const int delays_ms[] = {0, 20, 60, 120, 200, 300, 450};
    struct marked processes[MARKED_MAX];
    begin_job("early", hasty);
    for (size_t d = 0; d < sizeof delays_ms / sizeof delays_ms[0]; d += whole ? 1 : 3) {
        struct run run = start("early", 3, "run early.yaml " MESH);
        for (int found = 0; !found && !has_ended(run.process);) {
            int count = marked_find(processes);
            for (int i = 0; i < count; i++)
                found |= strcmp(processes[i].name, "mpirun") == 0 || strcmp(processes[i].name, "setsid") == 0;
        }
        usleep(1000u * (unsigned)delays_ms[d]);
        double began = marked_seconds();
        kill(run.process, SIGTERM);
        int code = end_of(&run);
        CHECK(code == 75, "TERM after %d ms: exit %d: %s", delays_ms[d], code, errors_of(&run));
        CHECK(marked_seconds() - began < 8, "TERM after %d ms: it took %g s", delays_ms[d],
              marked_seconds() - began);
        CHECK(times(errors_of(&run), "error") == 0, "TERM after %d ms: %s", delays_ms[d], errors_of(&run));
    }
    ends_alike("early", 2);
}

#ifdef REEL_DEBUG
/* A rank is stopped in the middle of a save while the notice comes. */
static void a_notice_during_a_save_is_heard_after_it(void)
{
    char environment[256];
    begin_job("saving", yields);
    struct run run = {.name = "saving", .log = "saving.log"};
    snprintf(environment, sizeof environment, "%s REEL_FAULT=checkpoint-write:1:2:stop",
             marked_environment());
    run.process = program_lead("saving", 3, environment,
                               "run saving.yaml " MESH " --set checkpoint.every_iterations=3");
    CHECK(comes(&run, SAVED, 1), "nothing is saved: %s", errors_of(&run));
    usleep(700000);
    CHECK(times(log_of(&run), SAVED) == 1, "the second save did not stand still");
    kill(run.process, SIGTERM);
    usleep(200000);
    kill(marked_rank(1), SIGCONT);
    int code = end_of(&run);
    CHECK(code == 75 && times(log_of(&run), SAVED) == 2, "exit %d, saved %d times: %s", code,
          times(log_of(&run), SAVED), errors_of(&run));
    ends_alike("saving", 2);
}
#endif

/* --- how long the job may take to end --- */

/* A job with iterations of some seconds. */
static const char slow[] = "model: {path: 'synthetic:tiny'}\nvideo: {width: 592, height: 400, frames: 17}\n"
                           "sampler: {steps: 3}\n";

static void an_iteration_that_is_too_long_is_cancelled(void)
{
    long long chunk = -1, iteration = -1, saved_chunk = -1, saved = -1;
    begin_job("slow", slow);
    struct run run = start("slow", 2, "run slow.yaml " MESH " --set checkpoint.grace=0.2s");
    CHECK(comes(&run, STEP, 1), "no steps: %s", errors_of(&run));
    CHECK(last_place(log_of(&run), STEP, &chunk, &iteration), "no steps");
    usleep(100000);
    double began = marked_seconds();
    kill(run.process, SIGTERM);
    int code = end_of(&run);
    was_preempted(&run, code, "a short grace");
    CHECK(times(log_of(&run), STEP) == 1 && last_place(log_of(&run), SAVED, &saved_chunk, &saved) &&
              saved_chunk == chunk && saved == iteration + 1,
          "iteration %lld was the last, %lld is saved", iteration, saved);
    CHECK(last_place(log_of(&run), STEP, &chunk, &iteration) && iteration == 0,
          "the running one was not abandoned");
    printf("abandoned and ended within %.2f s of the notice\n", marked_seconds() - began);
    run = start("slow", 2, "run slow.yaml " MESH); /* the default grace of 20 s is enough for an iteration */
    usleep(1000);
    CHECK(comes(&run, STEP, 1), "no steps: %s", errors_of(&run));
    usleep(100000);
    kill(run.process, SIGUSR1);
    code = end_of(&run);
    CHECK(code == 0 || code == 75, "exit %d: %s", code, errors_of(&run));
    CHECK(last_place(log_of(&run), STEP, &chunk, &iteration) && iteration == 2, "iteration %lld was the last",
          iteration);
    ends_alike("slow", 3);
}

/* A stopped rank does not see the notice, and the others wait for it. Only a second notice makes them give it
 * up. */
static void who_asks_again_later_is_in_a_hurry(void)
{
    struct run runs[2];
    begin_job("hurry", yields);
    begin_job("worry", yields);
    runs[0] = start("hurry", 3, "run hurry.yaml " MESH " --set checkpoint.every_iterations=1");
    CHECK(comes(&runs[0], SAVED, 2), "nothing is saved: %s", errors_of(&runs[0]));
    runs[1] = start("worry", 2, "run worry.yaml " MESH);
    CHECK(comes(&runs[1], STEP, 2), "no steps: %s", errors_of(&runs[1]));
    struct marked processes[MARKED_MAX];
    int count = marked_find(processes);
    for (int i = 0; i < count; i++)
        if (processes[i].rank == 1)
            kill(processes[i].process, SIGSTOP);
    usleep(300000);
    for (int r = 0; r < 2; r++)
        kill(runs[r].process, SIGTERM);
    usleep(10800000);
    CHECK(!has_ended(runs[0].process) && !has_ended(runs[1].process), "somebody did not wait");
    for (int r = 0; r < 2; r++)
        kill(runs[r].process, SIGTERM);
    double began = marked_seconds();
    while (marked_seconds() - began < 20 && !(has_ended(runs[0].process) && has_ended(runs[1].process)))
        usleep(10000);
    CHECK(marked_seconds() - began < 10, "the hurry took %g s", marked_seconds() - began);
    int saved = end_of(&runs[0]), lost = end_of(&runs[1]);
    CHECK(saved == 75, "with a checkpoint: exit %d: %s", saved, errors_of(&runs[0]));
    CHECK(lost == 12, "without one: exit %d: %s", lost, errors_of(&runs[1]));
    ends_alike("hurry", 2);
}

static void without_a_folder_there_is_nothing_to_go_on_from(void)
{
    char text[1024];
    snprintf(text, sizeof text, "%soutput: {latents: off.h5, log: off.log}\n", hasty);
    program_file("off.yaml", text);
    struct run run = start("off", 2, "run off.yaml --set checkpoint.directory=off");
    CHECK(comes(&run, STEP, 2), "no steps: %s", errors_of(&run));
    kill(run.process, SIGTERM);
    int code = end_of(&run);
    CHECK(code == 12 &&
              times(errors_of(&run), "reel: error: a notice came, and checkpoint.directory is off") == 1,
          "exit %d: %s", code, errors_of(&run));
}

/* --- again and again --- */

/* Starts the job until it is complete; only the time limit preempts it. */
static void a_time_limit_is_kept_and_ends_come_nearer(void)
{
    int code = 75, attempts = 0;
    begin_job("limit", yields);
    for (; code == 75 && attempts < 30; attempts++) {
        struct run run = start("limit", 2, "run limit.yaml " MESH " --set checkpoint.time_limit=3.6s");
        double began = marked_seconds();
        while (!has_ended(run.process) && times(log_of(&run), "\"event\":\"preempted\"") == 0)
            usleep(5000);
        double took = marked_seconds() - began;
        code = end_of(&run);
        CHECK(code == 0 || code == 75, "attempt %d: exit %d: %s", attempts, code, errors_of(&run));
        CHECK(code == 0 || (took < 3.6 && times(log_of(&run), STEP) > 0 &&
                            times(errors_of(&run), "checkpoint.time_limit is near") == 1),
              "attempt %d: %g s, %d steps: %s", attempts, took, times(log_of(&run), STEP), errors_of(&run));
    }
    CHECK(code == 0 && attempts > 1, "exit %d after %d attempts", code, attempts);
    CHECK(same_latents("limit.h5", "limit.whole.h5"), "other latents after %d attempts", attempts);
    printf("%d attempts within their limit\n", attempts);
}

/* Like a queue that takes the machine away soon after every start. */
static void a_job_that_is_preempted_all_the_time_ends(void)
{
    int code = 75, attempts = 0;
    long long before = -1;
    begin_job("queue", whole ? yields : hasty);
    for (; code == 75 && attempts < 40; attempts++) {
        char command[128];
        long long chunk = 0, iteration = 0;
        snprintf(command, sizeof command, "run queue.yaml " MESH " --set checkpoint.every_iterations=%d",
                 attempts % 3);
        struct run run = start("queue", 1 + attempts % 4, command);
        if (attempts % 4 == 2) /* now and then after a fixed time, however busy the machine is */
            usleep(800000);
        else
            comes(&run, STEP, 1);
        usleep(1000u * (unsigned)(attempts * 137 % 300));
        kill(run.process, attempts % 2 ? SIGTERM : SIGUSR1);
        code = end_of(&run);
        CHECK(code == 0 || code == 75, "attempt %d: exit %d: %s", attempts, code, errors_of(&run));
        int has_saved = last_place(log_of(&run), SAVED, &chunk, &iteration);
        CHECK(has_saved || times(log_of(&run), STEP) == 0, "attempt %d: steps, and nothing saved", attempts);
        CHECK(!has_saved || 1000 * chunk + iteration > before,
              "attempt %d: chunk %lld, iteration %lld is no progress", attempts, chunk, iteration);
        before = has_saved ? 1000 * chunk + iteration : before;
    }
    CHECK(code == 0, "exit %d after %d attempts", code, attempts);
    CHECK(same_latents("queue.h5", "queue.whole.h5"), "other latents after %d attempts", attempts);
    printf("%d attempts in a busy queue\n", attempts);
}

static void a_complete_job_ends_at_once_on_any_ranks(void)
{
    program_file("done.yaml", "model: {path: 'synthetic:tiny'}\nvideo: {width: 64, height: 48, frames: 17}\n"
                              "sampler: {steps: 3}\noutput: {latents: done.h5, log: done.log}\n");
    CHECK(program_run(2, "", "run done.yaml") == 0, "%s", program_said);
    long bytes = (long)strlen(text_of("done.log", 0));
    for (int ranks = 0; ranks <= 4; ranks += 2) {
        double began = marked_seconds();
        CHECK(program_run(ranks, "", "run done.yaml") == 0 &&
                  times(text_of("stdout", 0), "is complete: nothing is left") == 1,
              "%s", program_said);
        CHECK(marked_seconds() - began < 5, "%d ranks took %g s", ranks, marked_seconds() - began);
    }
    CHECK(times(text_of("done.log", bytes), "\"event\":\"weights\"") == 0, "weights were read");
    program_fails(2, "run done.yaml --set sampler.seed=1", 4,
                  "was made with sampler.seed 42, and the job has 1");
    in_folder("rm done.h5");
    CHECK(program_run(2, "", "run done.yaml") == 0 && access(own("done.h5"), F_OK) == 0, "%s", program_said);
}

/* --- two jobs at once --- */

static void a_folder_in_use_is_refused_and_waiting_for_it_can_be_ended(void)
{
    begin_job("busy", yields);
    in_folder("sed 's/busy.log/second.log/; s/steps: 40/steps: 1000/' busy.yaml >second.yaml && "
              "sed -i 's/steps: 40/steps: 1000/' busy.yaml");
    struct run first = start("busy", 1, "run busy.yaml " MESH);
    CHECK(comes(&first, STEP, 1), "no steps: %s", errors_of(&first));
    struct run second = start("second", 2, "run second.yaml " MESH);
    usleep(1500000);
    kill(second.process, SIGTERM);
    int waited = 0;
    while (!has_ended(second.process) && waited++ < 500)
        usleep(10000);
    CHECK(program_end(second.process) == 75, "it waits on: %s", errors_of(&second));
    CHECK(program_run(2, "", "run second.yaml " MESH) == 4 &&
              program_said_times("is in use by another job") == 1,
          "%s", program_said);
    kill(first.process, SIGTERM);
    CHECK(end_of(&first) == 75, "%s", errors_of(&first));
}

int main(int argc, char **argv)
{
    whole = argc > 1 && strcmp(argv[1], "whole") == 0;
    RUN(from_whomever_it_comes_it_is_one_notice);
    RUN(whenever_it_comes_it_is_heard);
#ifdef REEL_DEBUG
    RUN(a_notice_during_a_save_is_heard_after_it);
#endif
    RUN(an_iteration_that_is_too_long_is_cancelled);
    RUN(without_a_folder_there_is_nothing_to_go_on_from);
    RUN(a_complete_job_ends_at_once_on_any_ranks);
    RUN(a_job_that_is_preempted_all_the_time_ends);
    if (whole) {
        RUN(who_asks_again_later_is_in_a_hurry);
        RUN(a_time_limit_is_kept_and_ends_come_nearer);
        RUN(a_folder_in_use_is_refused_and_waiting_for_it_can_be_ended);
    }
    return test_end();
}
