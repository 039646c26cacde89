/* Loads a library at the first call of one of its functions. */
#include "dynlib.h"

#include <dlfcn.h>
#include <stdio.h>

/* The caller holds the lock. Keeps the error of the first name: the second is only a fallback. */
static void load_library(struct reel_dynlib *library)
{
    library->tried = 1;
    for (int n = 0; n < 2 && !library->library; n++) {
        library->library = dlopen(library->names[n], RTLD_NOW | RTLD_LOCAL);
        const char *why = library->library ? NULL : dlerror();
        if (n == 0 && why)
            snprintf(library->why, sizeof library->why, "%s", why);
    }
    if (library->library)
        library->why[0] = '\0';
}

void *reel_dynlib_find(struct reel_dynlib *library, const char *function)
{
    pthread_mutex_lock(&library->lock);
    if (!library->tried)
        load_library(library);
    void *found = library->library ? dlsym(library->library, function) : NULL;
    pthread_mutex_unlock(&library->lock);
    return found;
}
