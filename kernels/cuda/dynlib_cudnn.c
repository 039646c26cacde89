/* The functions of cuDNN that reel calls; dynlib.h finds each when it is first called. */
#include "dynlib.h"

#include <cudnn_graph.h>

static struct reel_dynlib library = {.names = {REEL_CUDNN_NAME, REEL_CUDNN_FILE},
                                     .lock = PTHREAD_MUTEX_INITIALIZER};

#define DYNLIB(name, parameters, arguments)                                                                  \
    REEL_DYNLIB_FUNCTION(library, cudnnStatus_t, CUDNN_STATUS_NOT_INITIALIZED, name, parameters, arguments)

DYNLIB(cudnnCreate, (cudnnHandle_t * handle), (handle))
DYNLIB(cudnnDestroy, (cudnnHandle_t handle), (handle))
DYNLIB(cudnnSetStream, (cudnnHandle_t handle, cudaStream_t stream), (handle, stream))
DYNLIB(cudnnBackendCreateDescriptor,
       (cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *descriptor), (type, descriptor))
DYNLIB(cudnnBackendDestroyDescriptor, (cudnnBackendDescriptor_t descriptor), (descriptor))
DYNLIB(cudnnBackendFinalize, (cudnnBackendDescriptor_t descriptor), (descriptor))
DYNLIB(cudnnBackendExecute,
       (cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack),
       (handle, plan, pack))
DYNLIB(cudnnBackendGetAttribute,
       (cudnnBackendDescriptor_t const descriptor, cudnnBackendAttributeName_t name,
        cudnnBackendAttributeType_t type, int64_t max, int64_t *count, void *values),
       (descriptor, name, type, max, count, values))
DYNLIB(cudnnBackendSetAttribute,
       (cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
        cudnnBackendAttributeType_t type, int64_t count, const void *values),
       (descriptor, name, type, count, values))
REEL_DYNLIB_FUNCTION(library, size_t, 0, cudnnGetVersion, (void), ())
REEL_DYNLIB_FUNCTION(library, const char *, library.why, cudnnGetErrorString, (cudnnStatus_t status),
                     (status))
