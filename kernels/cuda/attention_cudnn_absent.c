/* Takes the place of attention_cudnn.c where the program is built without cuDNN. */
#include "attention_cudnn.h"

struct reel_sdpa *reel_sdpa_open(void *queue, const char **why)
{
    (void)queue;
    *why = "the program was built without cuDNN";
    return 0;
}

void reel_sdpa_close(struct reel_sdpa *sdpa)
{
    (void)sdpa;
}

int reel_sdpa_know(struct reel_sdpa *sdpa, const struct reel_sdpa_shape *shape)
{
    (void)sdpa;
    (void)shape;
    return 0;
}

const char *reel_sdpa_run(struct reel_sdpa *sdpa, const struct reel_sdpa_shape *shape,
                          const struct reel_sdpa_arrays *arrays)
{
    (void)sdpa;
    (void)shape;
    (void)arrays;
    return "the program was built without cuDNN";
}
