/* The GPUs that this process sees.
 *
 *     char why[REEL_CAUSE_BYTES];
 *     int64_t count = reel_gpu_count(why);          0, and why: "the CUDA driver is missing", ...
 *     REEL_PASS(reel_gpu_describe(0, &gpu));        "NVIDIA H100 80GB HBM3", sm_90, 79 GiB free
 *     REEL_PASS(reel_gpu_use(0));                   from now on reel_ops_cuda computes on it
 *
 * Not collective. */
#ifndef REEL_GPU_H
#define REEL_GPU_H

#include "status.h"

#include <stdint.h>

struct reel_gpu {
    char name[128];
    unsigned char uuid[16];
    char bus[32];                     /* PCI address as in /sys/bus/pci/devices, "" where there is none */
    int64_t memory_bytes, free_bytes; /* of all, and what nobody has taken */
    int64_t major, minor;             /* compute capability: 9, 0 */
    int64_t processors;
};

/* How many there are; where there are none, why. */
int64_t reel_gpu_count(char why[REEL_CAUSE_BYTES]);

/* REEL_BAD_DEVICE when CUDA refuses. */
enum reel_status reel_gpu_describe(int64_t index, struct reel_gpu *gpu);

/* The process computes on that one from now on; once, before anything of reel_ops_cuda is used. REEL_BAD_DEVICE when it is
 * older than sm_80, when the program holds no code for it, or when CUDA refuses. */
enum reel_status reel_gpu_use(int64_t index);

/* How the GEMMs of this process were chosen so far, one per (columns in and out, precisions) and sorted: text for a
 * checkpoint, so that a resume can say when it computes otherwise. "" where nothing was chosen. The caller's bytes. */
void reel_gpu_gemm_algorithms(char *text, int64_t text_bytes);

#endif
