/* The functions of NCCL that reel calls, loaded at the first call. */
#include "dynlib.h"

#include <nccl.h> /* NVIDIA's header */

/* NVIDIA declares these two without a prototype. */
ncclResult_t ncclGroupStart(void);
ncclResult_t ncclGroupEnd(void);

static struct reel_dynlib library = {.names = {REEL_NCCL_NAME, REEL_NCCL_FILE},
                                     .lock = PTHREAD_MUTEX_INITIALIZER};

#define NCCL_FUNCTION(name, parameters, arguments)                                                           \
    REEL_DYNLIB_FUNCTION(library, ncclResult_t, ncclSystemError, name, parameters, arguments)

NCCL_FUNCTION(ncclGetVersion, (int *version), (version))
NCCL_FUNCTION(ncclGetUniqueId, (ncclUniqueId * id), (id))
NCCL_FUNCTION(ncclCommInitRankConfig,
              (ncclComm_t * comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config),
              (comm, ranks, id, rank, config))
NCCL_FUNCTION(ncclCommGetAsyncError, (ncclComm_t comm, ncclResult_t *found), (comm, found))
NCCL_FUNCTION(ncclCommFinalize, (ncclComm_t comm), (comm))
NCCL_FUNCTION(ncclCommDestroy, (ncclComm_t comm), (comm))
NCCL_FUNCTION(ncclCommAbort, (ncclComm_t comm), (comm))
NCCL_FUNCTION(ncclGroupStart, (void), ())
NCCL_FUNCTION(ncclGroupEnd, (void), ())
NCCL_FUNCTION(ncclSend,
              (const void *from, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
               cudaStream_t stream),
              (from, count, type, peer, comm, stream))
NCCL_FUNCTION(ncclRecv,
              (void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream),
              (to, count, type, peer, comm, stream))
REEL_DYNLIB_FUNCTION(library, const char *, "NCCL cannot be loaded", ncclGetErrorString,
                     (ncclResult_t result), (result))
REEL_DYNLIB_FUNCTION(library, const char *, library.why, ncclGetLastError, (ncclComm_t comm), (comm))
