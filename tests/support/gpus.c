/* A GPU for each rank of a test. */
#include "gpus.h"

#include "gpu.h"
#include "comm_nccl.h"

#include <mpi.h>
#include <stdint.h>
#include <stdio.h>

int gpus_take(int alone)
{
    char why[REEL_CAUSE_BYTES];
    int rank, ranks, fewest;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    int64_t count = reel_gpu_count(why);
    if (count > 0 && count < (alone ? ranks : 1))
        snprintf(why, sizeof why, "%lld for %d ranks", (long long)count, ranks);
    if (alone && !reel_nccl_is_here())
        snprintf(why, sizeof why, "the program was built without NCCL");
    int enough = why[0] == '\0';
    MPI_Allreduce(&enough, &fewest, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (!fewest) {
        if (rank == 0)
            printf("skipped for want of GPUs: %s\n", why);
        return 0;
    }
    if (reel_gpu_use(rank % count) != REEL_OK) {
        fprintf(stderr, "%s\n", reel_error_here()->cause);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return 1;
}
