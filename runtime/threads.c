/* Sharing a host's cores between its ranks. */
#include "threads.h"

#include "fault.h"

#include <omp.h>
#include <sched.h>
#include <stdlib.h>

/* Collective over world. The ranks on this host; 0 when MPI does not tell. */
static int ranks_here(const struct reel_comm *comm)
{
    MPI_Comm host;
    int ranks = 0;
    if (MPI_Comm_split_type(comm->world.mpi, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host) != MPI_SUCCESS)
        return 0;
    MPI_Comm_size(host, &ranks);
    MPI_Comm_free(&host);
    return ranks;
}

/* Whether OMP_NUM_THREADS begins with a positive number, as it must to mean anything. */
static int user_chose(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    return text && strtol(text, NULL, 10) > 0;
}

enum reel_status reel_threads_choose(struct reel_comm *comm)
{
    cpu_set_t cores;
    int ranks = ranks_here(comm), threads = omp_get_max_threads(), least = 1;
    if (!user_chose() && ranks > 0 && sched_getaffinity(0, sizeof cores, &cores) == 0)
        threads = CPU_COUNT(&cores) / ranks;
    if (threads < 1)
        threads = 1;
    REEL_NEED(ranks > 0 &&
                  MPI_Allreduce(&threads, &least, 1, MPI_INT, MPI_MIN, comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not agree on a number of threads");
    REEL_NEED(!reel_fault(REEL_FAULT_THREADS), REEL_BAD_COMM, "planted: no number of threads");
    omp_set_dynamic(0); /* a team that follows the machine's load is slower where it matters */
    omp_set_num_threads(least);
    return REEL_OK;
}
