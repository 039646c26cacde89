/* The program as a child process. */
#include "program.h"

#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char program_said[1 << 16];

/* Starts the command in a shell. It writes to NAMEstdout and NAMEstderr of the test's folder. */
static pid_t start(const char *name, int leads, int ranks, const char *environment, const char *arguments)
{
    char command[8192], launcher[512] = "";
    if (ranks > 0)
        snprintf(launcher, sizeof launcher, "%s -n %d ", REEL_TEST_MPIRUN, ranks);
    snprintf(command, sizeof command,
             "cd %s && %s OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 %s %s %s%s %s "
             "2>%sstderr >%sstdout",
             test_folder(), leads ? "exec env" : "", environment, leads ? "" : "timeout 120", launcher,
             REEL_TEST_PROGRAM, arguments, name, name);
    pid_t process = fork();
    if (process == 0) {
        if (leads)
            setsid();
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return process;
}

pid_t program_start(const char *name, int ranks, const char *environment, const char *arguments)
{
    char start_of_names[128];
    snprintf(start_of_names, sizeof start_of_names, "%s.", name);
    return start(start_of_names, 0, ranks, environment, arguments);
}

pid_t program_lead(const char *name, int ranks, const char *environment, const char *arguments)
{
    char start_of_names[128];
    snprintf(start_of_names, sizeof start_of_names, "%s.", name);
    return start(start_of_names, 1, ranks, environment, arguments);
}

int program_end(pid_t process)
{
    int code = 0;
    if (process < 0 || waitpid(process, &code, 0) != process)
        return -1;
    return WIFEXITED(code) && WEXITSTATUS(code) != 124 ? WEXITSTATUS(code) : -1;
}

int program_run(int ranks, const char *environment, const char *arguments)
{
    char path[512];
    int code = program_end(start("", 0, ranks, environment, arguments));
    snprintf(path, sizeof path, "%s/stderr", test_folder());
    FILE *file = fopen(path, "r");
    size_t bytes = file ? fread(program_said, 1, sizeof program_said - 1, file) : 0;
    program_said[bytes] = '\0';
    if (file)
        fclose(file);
    return code;
}

int program_said_times(const char *words)
{
    int times = 0;
    for (const char *at = program_said; (at = strstr(at, words)); at++)
        times++;
    return times;
}

void program_fails(int ranks, const char *arguments, int code, const char *sentence)
{
    int found = program_run(ranks, "", arguments);
    CHECK(found == code, "reel %s on %d ranks: exit %d, expected %d: %s", arguments, ranks, found, code,
          program_said);
    CHECK(program_said_times("reel: error: ") == 1 && program_said_times(sentence) > 0,
          "reel %s on %d ranks should say once: %s; it said: %s", arguments, ranks, sentence, program_said);
}

void program_file(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}
