/* The GPUs that this process sees.
 *
 *     char why[REEL_CAUSE_BYTES];
 *     int64_t count = reel_gpu_count(why);          0, and why: "the CUDA driver is missing", ...
 *     REEL_PASS(reel_gpu_describe(0, &gpu));        "NVIDIA H100 80GB HBM3", sm_90, 79 GiB free
 *     REEL_PASS(reel_gpu_use(0));                   from now on reel_ops_cuda computes on GPU 0
 *
 * Not collective. */
#ifndef REEL_GPU_H
#define REEL_GPU_H

#include "status.h"

#include <stdint.h>

struct reel_gpu {
    char name[128];
    unsigned char uuid[16];
    char bus[32];                     /* PCI address as in /sys/bus/pci/devices; "" where there is none */
    int64_t memory_bytes, free_bytes; /* total, and not taken by any process */
    int64_t major, minor;             /* compute capability: 9, 0 */
    int64_t processors;
};

/* The number of GPUs. Where it is 0, why says the cause; otherwise why is "". */
int64_t reel_gpu_count(char why[REEL_CAUSE_BYTES]);

/* Describes GPU index. REEL_BAD_DEVICE when CUDA refuses. */
enum reel_status reel_gpu_describe(int64_t index, struct reel_gpu *gpu);

/* Makes the process compute on GPU index. Call it once, before any use of reel_ops_cuda. REEL_BAD_DEVICE when
 * the GPU is older than sm_80, when the program holds no code for it, or when CUDA refuses. */
enum reel_status reel_gpu_use(int64_t index);

/* Writes which algorithms this process has chosen for its GEMMs so far: one line per (columns in and out,
 * dtypes), sorted. A checkpoint stores this text, so that a resume can say when it computes differently. The
 * text is "" where nothing was chosen. The caller owns text, which has text_bytes. */
void reel_gpu_gemm_algorithms(char *text, int64_t text_bytes);

#endif
