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

/* Collective over MPI_COMM_WORLD. */
int test_end(void)
{
    int rank;
    int64_t mine[3] = {test_functions, test_checks, test_failures}, all[3];
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
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
