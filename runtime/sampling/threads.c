/* Sharing a host's cores between its ranks. */
#include "threads.h"

#include "fault.h"

#include <omp.h>
#include <sched.h>
#include <stdlib.h>

/* Whether OMP_NUM_THREADS begins with a positive number; OpenMP ignores any other value. */
static int user_chose(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    return text && strtol(text, NULL, 10) > 0;
}

/* How many ranks of this host may run on cores of this rank, itself included: ranks that are bound to other
 * cores do not count. All ranks of the host if that is not known. Collective over the host's ranks. */
static int64_t count_sharing(const struct reel_comm *comm, const cpu_set_t *mine)
{
    int64_t size = comm->host.size, sharing = 0;
    cpu_set_t *all = calloc((size_t)size, sizeof *all), common;
    int knows = all != NULL, all_know = 0;
    if (MPI_Allreduce(&knows, &all_know, 1, MPI_INT, MPI_MIN, comm->host.mpi) != MPI_SUCCESS)
        all_know = 0;
    if (all_know && MPI_Allgather(mine, sizeof *mine, MPI_BYTE, all, sizeof *mine, MPI_BYTE,
                                  comm->host.mpi) == MPI_SUCCESS)
        for (int64_t r = 0; r < size; r++) {
            CPU_AND(&common, mine, &all[r]);
            sharing += CPU_COUNT(&common) > 0;
        }
    free(all);
    return sharing > 0 ? sharing : size;
}

enum reel_status reel_threads_choose(struct reel_comm *comm)
{
    cpu_set_t cores;
    int threads = omp_get_max_threads(), min = 1;
    CPU_ZERO(&cores);
    int is_known = sched_getaffinity(0, sizeof cores, &cores) == 0;
    int64_t sharing = count_sharing(comm, &cores);
    if (!user_chose() && is_known)
        threads = (int)(CPU_COUNT(&cores) / sharing);
    if (threads < 1)
        threads = 1;
    REEL_NEED(MPI_Allreduce(&threads, &min, 1, MPI_INT, MPI_MIN, comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not agree on a number of threads");
    REEL_NEED(!reel_fault(REEL_FAULT_THREADS), REEL_BAD_COMM, "planted: no number of threads");
    omp_set_dynamic(0); /* teams that shrink with the machine's load make iterations slower */
    omp_set_num_threads(min);
    return REEL_OK;
}
