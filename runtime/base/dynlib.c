/* Loading at the first need. */
#include "dynlib.h"

#include <dlfcn.h>
#include <stdio.h>

/* With its lock held. */
static void load(struct reel_dynlib *library)
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
        load(library);
    void *found = library->library ? dlsym(library->library, function) : NULL;
    pthread_mutex_unlock(&library->lock);
    return found;
}
