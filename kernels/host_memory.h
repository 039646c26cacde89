/* Host memory, in huge pages where the system allows it. */
#ifndef REEL_HOST_MEMORY_H
#define REEL_HOST_MEMORY_H

#include <stdint.h>

/* Aligned to 2 MiB. NULL when out of memory. Not collective. */
void *reel_host_allocate(int64_t bytes);

/* memory may be NULL. Not collective. */
void reel_host_release(void *memory, int64_t bytes);

#endif
