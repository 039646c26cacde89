/* Sharing a host's cores between its ranks. */
#include "threads.h"

#include "fault.h"

#include <omp.h>
#include <sched.h>
#include <stdlib.h>

/* Whether OMP_NUM_THREADS begins with a positive number, as it must to mean anything. */
static int user_chose(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    return text && strtol(text, NULL, 10) > 0;
}

enum reel_status reel_threads_choose(struct reel_comm *comm)
{
    cpu_set_t cores;
    int threads = omp_get_max_threads(), least = 1;
    if (!user_chose() && sched_getaffinity(0, sizeof cores, &cores) == 0)
        threads = (int)(CPU_COUNT(&cores) / comm->host.size);
    if (threads < 1)
        threads = 1;
    REEL_NEED(MPI_Allreduce(&threads, &least, 1, MPI_INT, MPI_MIN, comm->world.mpi) == MPI_SUCCESS,
              REEL_BAD_COMM, "the ranks could not agree on a number of threads");
    REEL_NEED(!reel_fault(REEL_FAULT_THREADS), REEL_BAD_COMM, "planted: no number of threads");
    omp_set_dynamic(0); /* a team that follows the machine's load is slower where it matters */
    omp_set_num_threads(least);
    return REEL_OK;
}
