/* Memory of the host, in huge pages where the system gives them. */
#ifndef REEL_HOST_MEMORY_H
#define REEL_HOST_MEMORY_H

#include <stdint.h>

/* Not collective. NULL when there is none. */
void *reel_host_allocate(int64_t bytes);

/* Not collective. NULL is allowed. */
void reel_host_release(void *memory, int64_t bytes);

#endif
