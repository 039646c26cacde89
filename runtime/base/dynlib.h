/* Libraries that are loaded when they are first needed.
 *
 * cuBLASLt, cuDNN and NCCL have 700 MB of code: linked, they cost every start of the program a tenth of a second and 200 MB,
 * on a CPU too, and where one is missing nothing starts at all. A late function has the library's own declaration and finds
 * the library's own when it is called:
 *
 *     static struct reel_dynlib library = {.names = {"libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13"}};
 *     REEL_DYNLIB_FUNCTION(library, cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED, cublasLtCreate, (cublasLtHandle_t *handle), (handle))
 *
 * Not collective; any thread. */
#ifndef REEL_DYNLIB_H
#define REEL_DYNLIB_H

#include <pthread.h>
#include <string.h>

enum { REEL_DYNLIB_WHY_BYTES = 256 };

struct reel_dynlib {
    const char *names[2]; /* are tried in turn */
    pthread_mutex_t lock;
    void *library;
    int tried;
    char why[REEL_DYNLIB_WHY_BYTES]; /* it cannot be loaded; "" where it was not tried or is there */
};

/* Where that function of the library is; NULL when library or function is missing. */
void *reel_dynlib_find(struct reel_dynlib *library, const char *function);

/* Defines a function of a library, which gives `without` where the library is missing. */
#define REEL_DYNLIB_FUNCTION(library, result, without, name, parameters, arguments)                          \
    result name parameters                                                                                   \
    {                                                                                                        \
        static result(*reel_there) parameters; /* found again by whoever comes at once */                    \
        void *reel_found = reel_there ? NULL : reel_dynlib_find(&(library), #name);                          \
        if (reel_found)                                                                                      \
            memcpy(&reel_there, &reel_found, sizeof reel_there);                                             \
        return reel_there ? reel_there arguments : (without);                                                \
    }

#endif
