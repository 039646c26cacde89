/* Finds marked processes in /proc. */
#include "marked.h"

#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *marked_environment(void)
{
    static char text[128];
    snprintf(text, sizeof text, "REEL_TEST_MARK=%s", test_folder());
    return text;
}

double marked_seconds(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

/* Reads /proc/PROCESS/NAME into text, ended by a zero. Returns the number of bytes, or -1. */
static ssize_t read_of(long long process, const char *name, char *text, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/%s", process, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = file >= 0 ? read(file, text, room - 1) : -1;
    if (file >= 0)
        close(file);
    text[bytes > 0 ? bytes : 0] = '\0';
    return bytes;
}

/* Whether a process carries the mark; then fills *marked. */
static int look_at(long long process, struct marked *marked)
{
    static char text[1 << 17];
    static const char variable[] = "OMPI_COMM_WORLD_RANK=";
    ssize_t bytes = read_of(process, "environ", text, sizeof text);
    const char *mark = marked_environment();
    if (bytes <= 0 || !memmem(text, (size_t)bytes, mark, strlen(mark) + 1))
        return 0;
    const char *rank = memmem(text, (size_t)bytes, variable, sizeof variable - 1);
    *marked = (struct marked){.process = (pid_t)process, .rank = -1};
    read_of(process, "comm", marked->name, sizeof marked->name);
    marked->name[strcspn(marked->name, "\n")] = '\0';
    if (rank && strcmp(marked->name, "reel") == 0)
        marked->rank = atoi(rank + sizeof variable - 1);
    return 1;
}

int marked_find(struct marked processes[MARKED_MAX])
{
    int count = 0;
    DIR *listing = opendir("/proc");
    for (struct dirent *entry; listing && (entry = readdir(listing)) && count < MARKED_MAX;)
        if (atoll(entry->d_name) > 0)
            count += look_at(atoll(entry->d_name), &processes[count]);
    if (listing)
        closedir(listing);
    return count;
}

pid_t marked_rank(int rank)
{
    struct marked processes[MARKED_MAX];
    int count = marked_find(processes);
    for (int i = 0; i < count; i++)
        if (processes[i].rank == rank)
            return processes[i].process;
    return 0;
}

void marked_wait(double seconds)
{
    struct marked processes[MARKED_MAX];
    double began = marked_seconds();
    int count;
    while ((count = marked_find(processes)) > 0 && marked_seconds() - began < seconds)
        usleep(10000);
    CHECK(count == 0, "%d processes are left, the first is %lld, %s", count, (long long)processes[0].process,
          processes[0].name);
    for (; count > 0; count = marked_find(processes)) {
        for (int i = 0; i < count; i++)
            kill(processes[i].process, SIGKILL);
        usleep(10000);
    }
}
