/* What reel calls of NCCL, found when it is called. */
#include "dynlib.h"

#include <nccl.h> /* NVIDIA's, as in comm_nccl.c */

/* NVIDIA declares these two without saying that they take nothing. */
ncclResult_t ncclGroupStart(void);
ncclResult_t ncclGroupEnd(void);

static struct reel_dynlib library = {.names = {REEL_NCCL_NAME, REEL_NCCL_FILE},
                                     .lock = PTHREAD_MUTEX_INITIALIZER};

#define LATE(name, parameters, arguments)                                                                    \
    REEL_DYNLIB_FUNCTION(library, ncclResult_t, ncclSystemError, name, parameters, arguments)

LATE(ncclGetVersion, (int *version), (version))
LATE(ncclGetUniqueId, (ncclUniqueId * id), (id))
LATE(ncclCommInitRankConfig, (ncclComm_t * comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config),
     (comm, ranks, id, rank, config))
LATE(ncclCommGetAsyncError, (ncclComm_t comm, ncclResult_t *found), (comm, found))
LATE(ncclCommFinalize, (ncclComm_t comm), (comm))
LATE(ncclCommDestroy, (ncclComm_t comm), (comm))
LATE(ncclCommAbort, (ncclComm_t comm), (comm))
LATE(ncclGroupStart, (void), ())
LATE(ncclGroupEnd, (void), ())
LATE(ncclSend,
     (const void *from, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream),
     (from, count, type, peer, comm, stream))
LATE(ncclRecv, (void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream),
     (to, count, type, peer, comm, stream))
REEL_DYNLIB_FUNCTION(library, const char *, "NCCL cannot be loaded", ncclGetErrorString,
                     (ncclResult_t result), (result))
REEL_DYNLIB_FUNCTION(library, const char *, library.why, ncclGetLastError, (ncclComm_t comm), (comm))
