/* What reel calls of cuDNN, found when it is called. */
#include "dynlib.h"

#include <cudnn_graph.h>

static struct reel_dynlib library = {.names = {REEL_CUDNN_NAME, REEL_CUDNN_FILE},
                                     .lock = PTHREAD_MUTEX_INITIALIZER};

#define LATE(name, parameters, arguments)                                                                    \
    REEL_DYNLIB_FUNCTION(library, cudnnStatus_t, CUDNN_STATUS_NOT_INITIALIZED, name, parameters, arguments)

LATE(cudnnCreate, (cudnnHandle_t * handle), (handle))
LATE(cudnnDestroy, (cudnnHandle_t handle), (handle))
LATE(cudnnSetStream, (cudnnHandle_t handle, cudaStream_t stream), (handle, stream))
LATE(cudnnBackendCreateDescriptor, (cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *descriptor),
     (type, descriptor))
LATE(cudnnBackendDestroyDescriptor, (cudnnBackendDescriptor_t descriptor), (descriptor))
LATE(cudnnBackendFinalize, (cudnnBackendDescriptor_t descriptor), (descriptor))
LATE(cudnnBackendExecute,
     (cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack),
     (handle, plan, pack))
LATE(cudnnBackendGetAttribute,
     (cudnnBackendDescriptor_t const descriptor, cudnnBackendAttributeName_t name,
      cudnnBackendAttributeType_t type, int64_t max, int64_t *count, void *values),
     (descriptor, name, type, max, count, values))
LATE(cudnnBackendSetAttribute,
     (cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
      int64_t count, const void *values),
     (descriptor, name, type, count, values))
REEL_DYNLIB_FUNCTION(library, size_t, 0, cudnnGetVersion, (void), ())
REEL_DYNLIB_FUNCTION(library, const char *, library.why, cudnnGetErrorString, (cudnnStatus_t status),
                     (status))
