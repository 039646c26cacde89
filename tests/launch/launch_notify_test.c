/* reel notify as agents start it: which ranks it notifies, which it does not, and that --wait waits. It
 * notifies every rank that it sees, so the test runs as the first process of its own PID namespace, which has
 * no other ranks. */
#include "program.h"
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char job[] = "model: {path: 'synthetic:tiny'}\n"
                          "video: {width: 256, height: 160, frames: 33}\n"
                          "sampler: {steps: 1000}\n"
                          "output: {latents: out.h5}\n";

static const char *own(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    return path;
}

static void in_folder(const char *shell)
{
    char command[4096];
    snprintf(command, sizeof command, "cd %s && %s", test_folder(), shell);
    CHECK(system(command) == 0, "%s", command);
}

/* The content of a file of the test's folder. */
static const char *text_of(const char *name)
{
    static char text[1 << 16];
    FILE *file = fopen(own(name), "r");
    size_t bytes = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[bytes] = '\0';
    if (file)
        fclose(file);
    return text;
}

/* Whether the file contains the words within a minute. */
static int comes(const char *name, const char *words)
{
    for (int tenth = 0; tenth < 600; tenth++) {
        if (strstr(text_of(name), words))
            return 1;
        usleep(100000);
    }
    return 0;
}

/* CHECKs that reel notify succeeds and prints exactly this, without the seconds. */
static void notify_prints(int ranks, const char *environment, const char *arguments, const char *expected)
{
    char text[256], tail;
    double seconds = -1;
    int code = program_run(ranks, environment, arguments);
    snprintf(text, sizeof text, "%s", text_of("stdout"));
    char *after = strstr(text, " after ");
    if (after) {
        CHECK(sscanf(after, " after %lf %c", &seconds, &tail) == 2 && tail == 's' && seconds >= 0, "%s",
              text);
        strcpy(after, "\n");
    }
    CHECK(code == 0 && strcmp(text, expected) == 0, "reel %s: exit %d, printed: %s; said: %s", arguments,
          code, text, program_said);
}

/* A process of this program that looks like a rank, or almost, and may belong to another user. */
struct actor {
    pid_t process;
    int says, hears; /* the actor's output; its input, which is closed to end it */
};

/* Starts this executable of the test's folder with this word as its command. An actor that catches the notice
 * reports it and runs until it is released; any other dies of the notice. */
static struct actor act(const char *executable, const char *word, const char *how)
{
    int says[2], hears[2];
    char ready = 0;
    CHECK(pipe2(says, O_CLOEXEC) == 0 && pipe2(hears, O_CLOEXEC) == 0, "no pipes");
    struct actor actor = {.process = fork(), .says = says[0], .hears = hears[1]};
    if (actor.process == 0) {
        dup2(hears[0], 0);
        dup2(says[1], 1);
        execl(own(executable), executable, word, how, (char *)NULL);
        _exit(127);
    }
    close(says[1]);
    close(hears[0]);
    CHECK(read(actor.says, &ready, 1) == 1 && ready == 'r', "%s %s did not start", executable, word);
    return actor;
}

/* Releases the actor; returns its exit code, or 128 + the signal that it died of. */
static int let_go(struct actor actor)
{
    int status;
    close(actor.hears);
    waitpid(actor.process, &status, 0);
    close(actor.says);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

enum { UNTOLD = 40, OTHER_USER = 1 };

/* The actor's program: exit code 75 if it caught a notice, UNTOLD if none came. */
static int play(const char *how)
{
    sigset_t notice;
    const struct timespec minute = {.tv_sec = 60};
    int catches = strcmp(how, "catches") == 0;
    char end;
    sigemptyset(&notice);
    sigaddset(&notice, SIGUSR1);
    if (strcmp(how, "hides") == 0 && setresuid(OTHER_USER, OTHER_USER, OTHER_USER) != 0)
        return 1;
    if (catches)
        sigprocmask(SIG_BLOCK, &notice, NULL);
    if (write(1, "r", 1) != 1)
        return 1;
    if (catches && (sigtimedwait(&notice, NULL, &minute) != SIGUSR1 || write(1, "c", 1) != 1))
        return 1;
    while (read(0, &end, 1) > 0)
        ;
    return catches ? 75 : UNTOLD;
}

static void bad_words_exit_with_2(void)
{
    program_fails(0, "notify now", 2, "now is not an option of reel notify, expected --wait or nothing");
    program_fails(0, "notify --wait --timeout 3", 2, "--timeout is not an option of reel notify");
    program_fails(0, "notify 1", 2, "1 is not an option of reel notify");
    program_fails(3, "notify now", 2, "now is not an option of reel notify");
    CHECK(program_run(0, "", "notify --help") == 0 && strstr(text_of("stdout"), "--wait"), "%s",
          program_said);
}

static void where_no_rank_runs_there_is_nothing_to_tell_or_to_wait_for(void)
{
    notify_prints(0, "", "notify", "no rank of reel runs here\n");
    notify_prints(0, "", "notify --wait --wait", "no rank of reel runs here\n");
    notify_prints(3, "", "notify --wait", "no rank of reel runs here\n");
}

static void it_does_not_start_mpi(void)
{
    CHECK(program_run(0, "OMPI_MCA_pml=none", "inspect synthetic:tiny") != 0,
          "that should fail to start MPI");
    notify_prints(0, "OMPI_MCA_pml=none", "notify", "no rank of reel runs here\n");
}

static void a_job_that_is_told_ends(int ranks, const char *printed)
{
    in_folder("rm -f job.stdout");
    pid_t process = program_start("job", ranks, "", "run job.yaml");
    CHECK(comes("job.stdout", "chunk 1/1  iteration"), "%s%s", text_of("job.stdout"), text_of("job.stderr"));
    notify_prints(0, "", "notify --wait", printed);
    notify_prints(0, "", "notify", "no rank of reel runs here\n");
    int code = program_end(process);
    CHECK(code == 75, "exit %d: %s", code, text_of("job.stderr"));
}

static void a_run_by_itself_is_told(void)
{
    a_job_that_is_told_ends(0, "told 1 rank\nit has ended\n");
}

static void all_ranks_of_a_run_are_told(void)
{
    a_job_that_is_told_ends(2, "told 2 ranks\nthey have ended\n");
}

static void only_ranks_of_reel_run_are_told(void)
{
    struct actor others[] = {act("reel", "plan", "dies"), act("reel", "run.yaml", "dies"),
                             act("reel", "notify", "dies"), act("reeler", "run", "dies"),
                             act("reel-mpirun", "run", "dies")};
    enum { OTHERS = sizeof others / sizeof others[0] };
    notify_prints(0, "", "notify --wait", "no rank of reel runs here\n");
    struct actor rank = act("reel", "run", "dies"), linked = act("film", "run", "dies");
    notify_prints(0, "", "notify --wait", "told 2 ranks\nthey have ended\n");
    CHECK(let_go(rank) == 128 + SIGUSR1, "a rank was not told");
    CHECK(let_go(linked) == 128 + SIGUSR1, "a rank that was started by a link was not told");
    for (int i = 0; i < OTHERS; i++) {
        int code = let_go(others[i]);
        CHECK(code == UNTOLD, "other process %d ended with %d", i, code);
    }
}

static void a_rank_whose_executable_was_replaced_is_told(void)
{
    struct actor rank = act("film", "run", "dies");
    in_folder("ln reel kept && rm reel && mv kept reel");
    notify_prints(0, "", "notify --wait", "told 1 rank\nit has ended\n");
    CHECK(let_go(rank) == 128 + SIGUSR1, "it was not told");
}

static void a_rank_that_has_ended_is_not_told_though_nobody_has_waited_for_it(void)
{
    struct actor rank = act("reel", "run", "dies");
    siginfo_t facts;
    kill(rank.process, SIGKILL);
    waitid(P_PID, (id_t)rank.process, &facts, WEXITED | WNOWAIT);
    notify_prints(0, "", "notify --wait", "no rank of reel runs here\n");
    CHECK(let_go(rank) == 128 + SIGKILL, "it should have been there until now");
}

static void wait_returns_when_the_told_have_ended_and_not_before(void)
{
    struct actor rank = act("reel", "run", "catches"), quick = act("reel", "run", "catches");
    char caught = 0, too = 0, text[256];
    double seconds = 0;
    int status;
    pid_t waiting = program_start("waiting", 0, "", "notify --wait");
    CHECK(read(rank.says, &caught, 1) == 1 && caught == 'c', "it was not told");
    CHECK(read(quick.says, &too, 1) == 1 && too == 'c' && let_go(quick) == 75, "the other was not told");
    CHECK(comes("waiting.stdout", "told 2 ranks\n"), "it waits before it speaks");
    notify_prints(0, "", "notify",
                  "told 1 rank\n"); /* without --wait it returns at once; a second notice does no harm */
    usleep(700000);
    CHECK(waitpid(waiting, &status, WNOHANG) == 0, "it did not wait");
    CHECK(strcmp(text_of("waiting.stdout"), "told 2 ranks\n") == 0, "%s", text_of("waiting.stdout"));
    CHECK(let_go(rank) == 75, "it ended otherwise");
    CHECK(program_end(waiting) == 0, "%s", text_of("waiting.stderr"));
    snprintf(text, sizeof text, "%s", text_of("waiting.stdout"));
    CHECK(sscanf(text, "told 2 ranks\nthey have ended after %lf s\n", &seconds) == 1 && seconds >= 0.7, "%s",
          text);
}

static void under_mpirun_one_process_tells(void)
{
    struct actor rank = act("reel", "run", "dies");
    notify_prints(3, "", "notify --wait", "told 1 rank\nit has ended\n");
    CHECK(let_go(rank) == 128 + SIGUSR1, "it was not told");
}

/* With the /proc of another namespace it would read about one process and signal another. */
static void a_proc_of_another_namespace_is_refused_with_12(void)
{
    struct actor rank = act("reel", "run", "dies");
    CHECK(program_run(0, "unshare --pid --fork", "notify") == 12 &&
              program_said_times("/proc shows the processes of another PID namespace") == 1,
          "%s", program_said);
    CHECK(let_go(rank) == UNTOLD, "it was told");
}

static void what_it_cannot_look_at_is_an_error_and_not_nothing(void)
{
    struct actor rank = act("reel", "run", "dies");
    CHECK(program_run(0, "prlimit --nofile=4", "notify") == 12 &&
              program_said_times("Too many open files") == 1,
          "%s", program_said);
    CHECK(let_go(rank) == UNTOLD, "it was told");
}

static void a_user_tells_the_ranks_of_that_user_alone(void)
{
    struct actor hidden = act("reel", "run", "hides"), rank = act("reel", "run", "dies");
    notify_prints(
        0, "setpriv --reuid 1 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search",
        "notify --wait", "told 1 rank\nit has ended\n");
    CHECK(let_go(hidden) == 128 + SIGUSR1, "the user's rank was not told");
    CHECK(let_go(rank) == UNTOLD, "root's rank was told");
}

/* Runs as root without the right to signal other users' processes. */
static void one_that_may_not_be_signalled_is_12_when_the_others_have_ended(void)
{
    struct actor hidden = act("reel", "run", "hides"), rank = act("reel", "run", "dies");
    char sentence[256];
    snprintf(
        sentence, sizeof sentence,
        "process %d is a rank and could not be told: Operation not permitted, expected one that this user",
        (int)hidden.process);
    int code = program_run(0, "setpriv --bounding-set -kill --inh-caps -kill", "notify --wait");
    CHECK(code == 12 && program_said_times("reel: error: ") == 1 && program_said_times(sentence) == 1,
          "exit %d: %s", code, program_said);
    CHECK(strncmp(text_of("stdout"), "told 1 rank\nit has ended after ", 31) == 0, "%s", text_of("stdout"));
    CHECK(let_go(rank) == 128 + SIGUSR1, "the other was not told");
    CHECK(let_go(hidden) == UNTOLD, "it was told");
}

/* Starts the test again as process 1 of a PID namespace with its own /proc. */
static int enter_a_namespace(const char *self)
{
    static const char *const ways[] = {"--pid --fork --mount-proc --kill-child",
                                       "--user --map-root-user --pid --fork --mount-proc --kill-child"};
    char command[512];
    for (int way = 0; way < 2; way++) {
        snprintf(command, sizeof command, "unshare %s true 2>/dev/null", ways[way]);
        if (system(command) != 0)
            continue;
        snprintf(command, sizeof command, "exec unshare %s \"$0\"", ways[way]);
        execl("/bin/sh", "sh", "-c", command, self, (char *)NULL);
    }
    printf("this machine allows no PID namespaces: ranks of others might be told\n");
    return 77;
}

/* Makes the actors' executables: this program under other names. */
static void cast(const char *self)
{
    char command[2048];
    snprintf(command, sizeof command,
             "cp '%s' reel && ln -s reel film && ln reel reeler && ln reel reel-mpirun", self);
    in_folder(command);
}

/* Whether this namespace has a second user. */
static int other_users(void)
{
    pid_t child = fork();
    int status;
    if (child == 0)
        _exit(setresuid(OTHER_USER, OTHER_USER, OTHER_USER) != 0);
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int count, char **words)
{
    char self[1024] = "";
    if (count == 3)
        return play(words[2]);
    if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0)
        return 1;
    if (getpid() != 1)
        return enter_a_namespace(self);
    for (int file = 3; file < 1024; file++) /* inherited files; a limit below must count only this test's */
        close(file);
    setenv("TMPDIR", test_folder(), 1); /* Open MPI names files by pids, which repeat between namespaces */
    setenv("OMPI_MCA_btl_vader_backing_directory", test_folder(), 1);
    program_file("job.yaml", job);
    cast(self);
    RUN(bad_words_exit_with_2);
    RUN(where_no_rank_runs_there_is_nothing_to_tell_or_to_wait_for);
    RUN(it_does_not_start_mpi);
    RUN(a_run_by_itself_is_told);
    RUN(all_ranks_of_a_run_are_told);
    RUN(only_ranks_of_reel_run_are_told);
    RUN(a_rank_whose_executable_was_replaced_is_told);
    RUN(a_rank_that_has_ended_is_not_told_though_nobody_has_waited_for_it);
    RUN(wait_returns_when_the_told_have_ended_and_not_before);
    RUN(under_mpirun_one_process_tells);
    RUN(a_proc_of_another_namespace_is_refused_with_12);
    RUN(what_it_cannot_look_at_is_an_error_and_not_nothing);
    if (other_users()) {
        RUN(a_user_tells_the_ranks_of_that_user_alone);
        RUN(one_that_may_not_be_signalled_is_12_when_the_others_have_ended);
    }
    return test_end();
}
