/* Shared libraries that are loaded when one of their functions is first called.
 *
 * cuBLASLt, cuDNN and NCCL have 700 MB of code. If the program were linked with them, every start would take
 * a tenth of a second and 200 MB more, even on a CPU, and the program would not start where one of them is
 * missing. REEL_DYNLIB_FUNCTION defines a function with the library's own name and declaration. When it is
 * called, it finds the library's function and calls that:
 *
 *     static struct reel_dynlib library = {
 *         .names = {"libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13"},
 *         .lock = PTHREAD_MUTEX_INITIALIZER};
 *     REEL_DYNLIB_FUNCTION(library, cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED, cublasLtCreate,
 *                          (cublasLtHandle_t * handle), (handle))
 *
 * Not collective; any thread may call these functions. */
#ifndef REEL_DYNLIB_H
#define REEL_DYNLIB_H

#include <pthread.h>
#include <string.h>

enum { REEL_DYNLIB_WHY_BYTES = 256 };

struct reel_dynlib {
    const char *names[2]; /* tried in this order */
    pthread_mutex_t lock;
    void *library;
    int tried;
    char why[REEL_DYNLIB_WHY_BYTES]; /* why it cannot be loaded; "" before the first try and after success */
};

/* The address of that function of the library; NULL when the library or the function is missing. Loads the
 * library at the first call. */
void *reel_dynlib_find(struct reel_dynlib *library, const char *function);

/* Defines a function that calls the library's function of that name, and returns `without` where it is
 * missing. */
#define REEL_DYNLIB_FUNCTION(library, result, without, name, parameters, arguments)                          \
    result name parameters                                                                                   \
    {                                                                                                        \
        static result(*reel_there) parameters; /* threads that call at once may each find it */              \
        void *reel_found = reel_there ? NULL : reel_dynlib_find(&(library), #name);                          \
        if (reel_found)                                                                                      \
            memcpy(&reel_there, &reel_found, sizeof reel_there);                                             \
        return reel_there ? reel_there arguments : (without);                                                \
    }

#endif
