/* The program as a child process. */
#include "program.h"

#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

char program_said[1 << 16];

int program_run(int ranks, const char *environment, const char *arguments)
{
    char command[8192], start[512] = "";
    if (ranks > 0)
        snprintf(start, sizeof start, "%s -n %d ", REEL_TEST_MPIRUN, ranks);
    snprintf(command, sizeof command,
             "cd %s && OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 %s timeout 120 %s%s %s "
             "2>stderr >stdout",
             test_folder(), environment, start, REEL_TEST_PROGRAM, arguments);
    int code = system(command);
    snprintf(command, sizeof command, "%s/stderr", test_folder());
    FILE *file = fopen(command, "r");
    size_t bytes = file ? fread(program_said, 1, sizeof program_said - 1, file) : 0;
    program_said[bytes] = '\0';
    if (file)
        fclose(file);
    return WIFEXITED(code) && WEXITSTATUS(code) != 124 ? WEXITSTATUS(code) : -1;
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
