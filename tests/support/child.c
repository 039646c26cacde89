/* Functions run in child processes. */
#include "child.h"

#include "status.h"
#include "test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void live(void (*function)(void), int report)
{
    static const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    dup2(report, STDERR_FILENO);
    function();
    _exit((int)reel_error_here()->status);
}

void child_run(void (*function)(void), struct child *child)
{
    int report[2], status = 0;
    char rest[256];
    size_t said = 0;
    ssize_t got;
    memset(child, 0, sizeof *child);
    if (pipe(report) != 0) {
        perror("pipe");
        exit(1);
    }
    pid_t process = fork();
    if (process == 0)
        live(function, report[1]);
    close(report[1]);
    while ((got = read(report[0], rest, sizeof rest)) > 0) {
        size_t room = sizeof child->words - 1 - said, kept = (size_t)got < room ? (size_t)got : room;
        memcpy(child->words + said, rest, kept);
        said += kept;
    }
    close(report[0]);
    if (process < 0 || waitpid(process, &status, 0) != process) {
        perror("a child");
        exit(1);
    }
    child->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    child->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void child_passes(const char *what, void (*function)(void))
{
    struct child child;
    child_run(function, &child);
    CHECK(child.signal == 0 && child.code == 0, "%s: signal %d, code %d: %s", what, child.signal, child.code,
          child.words);
}

void child_aborts(const char *what, void (*function)(void), const char *words)
{
    struct child child;
    child_run(function, &child);
    CHECK(child.signal == SIGABRT && strstr(child.words, words),
          "%s: signal %d, code %d: '%s', expected '%s'", what, child.signal, child.code, child.words, words);
}
