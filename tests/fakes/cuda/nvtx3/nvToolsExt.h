/* NVTX that does nothing, for CUDA files that are compiled for the host. */
#ifndef REEL_FAKE_NVTOOLSEXT_H
#define REEL_FAKE_NVTOOLSEXT_H

static inline int nvtxRangePushA(const char *name)
{
    return name ? 0 : -1;
}

static inline int nvtxRangePop(void)
{
    return 0;
}

#endif
