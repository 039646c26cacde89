/* What <cuda_runtime.h> declares, as far as reel uses it: the runtime's calls and, for C++, kernels. */
#ifndef REEL_STAND_IN_CUDA_RUNTIME_H
#define REEL_STAND_IN_CUDA_RUNTIME_H

#include "cuda_runtime_api.h"

#ifdef __cplusplus
#include "stand_in_vectors.h"
#include "stand_in_device.h"
#include "stand_in_math.h"
#include "stand_in_launch.h"
#endif

#endif
