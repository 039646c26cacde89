/* The end of a test program under mpirun: one verdict for all ranks. */
#include "test.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

/* Collective over MPI_COMM_WORLD at its first call. */
const char *test_folder(void)
{
    if (!folder[0]) {
        int rank;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        strcpy(folder, "/tmp/reel-test-XXXXXX");
        if (rank == 0 && !mkdtemp(folder)) {
            perror(folder);
            MPI_Abort(MPI_COMM_WORLD, 1);
        }
        MPI_Bcast(folder, sizeof folder, MPI_CHAR, 0, MPI_COMM_WORLD);
    }
    return folder;
}

/* Collective over MPI_COMM_WORLD. Prints rank 0's measures, each with its largest error over all ranks. */
static void print_measures(int rank)
{
    struct test_measure all[TEST_MEASURES];
    memcpy(all, test_measures, sizeof all);
    MPI_Bcast(all, sizeof all, MPI_BYTE, 0, MPI_COMM_WORLD);
    for (int m = 0; m < TEST_MEASURES && all[m].name[0]; m++) {
        double mine = 0;
        for (int n = 0; n < TEST_MEASURES; n++)
            if (strcmp(test_measures[n].name, all[m].name) == 0)
                mine = test_measures[n].error;
        MPI_Reduce(&mine, &all[m].error, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
        if (rank == 0)
            test_measure_print(&all[m]);
    }
}

/* Collective over MPI_COMM_WORLD. */
int test_end(void)
{
    int rank;
    int64_t mine[3] = {test_functions, test_checks, test_failures}, all[3];
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    print_measures(rank);
    MPI_Allreduce(mine, all, 3, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    if (rank == 0 && folder[0]) {
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", folder);
        if (system(command) != 0)
            all[2]++;
    }
    MPI_Bcast(all, 3, MPI_INT64_T, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("%lld functions, %lld checks, %lld failed, over all ranks\n", (long long)all[0],
               (long long)all[1], (long long)all[2]);
    return all[2] != 0 || mine[1] == 0;
}
