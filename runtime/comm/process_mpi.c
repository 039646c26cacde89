/* Open MPI's environment variables and settings, and its start and end. */
#include "process.h"

#include <stdlib.h>

static int64_t number_of(const char *variable)
{
    const char *text = getenv(variable);
    return text ? atoll(text) : -1;
}

int64_t reel_launched_rank(void)
{
    return number_of("OMPI_COMM_WORLD_RANK");
}

int64_t reel_launched_local_rank(void)
{
    return number_of("OMPI_COMM_WORLD_LOCAL_RANK");
}

enum reel_status reel_process_start(int *argc, char ***argv)
{
    int provided;
    setenv("OMPI_MCA_io", "romio321", 0); /* the more reliable of the two MPI-IO implementations */
    REEL_NEED(MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &provided) == MPI_SUCCESS, REEL_BAD_COMM,
              "MPI could not start");
    return REEL_OK;
}

MPI_Comm reel_process_ranks(void)
{
    return MPI_COMM_WORLD;
}

void reel_process_end(void)
{
    MPI_Finalize();
}
