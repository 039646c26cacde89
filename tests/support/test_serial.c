/* The end of a test program of one process. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

const char *test_folder(void)
{
    if (!folder[0]) {
        strcpy(folder, "/tmp/reel-test-XXXXXX");
        if (!mkdtemp(folder)) {
            perror(folder);
            exit(1);
        }
    }
    return folder;
}

int test_end(void)
{
    if (folder[0]) {
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        if (system(command) != 0)
            test_failures++;
    }
    for (int m = 0; m < TEST_MEASURES && test_measures[m].name[0]; m++)
        test_measure_print(&test_measures[m]);
    printf("%lld functions, %lld checks, %lld failed\n", (long long)test_functions, (long long)test_checks,
           (long long)test_failures);
    return test_failures != 0 || test_checks == 0;
}
