/* Events and ranges of the CUDA backend: members of its table, with the contracts of ops.h. Only for the C++
 * of *_cuda.cu.
 *
 * Events come from a pool of 131,072 CUDA events, which the first reel_cuda_events_open creates: enough to
 * measure 65,536 spans of a profile on the device. Ranges are those of NVTX, which Nsight Systems shows;
 * without Nsight Systems a range costs nothing. */
#ifndef REEL_TRACE_CUDA_H
#define REEL_TRACE_CUDA_H

#include "cuda_backend.h"

extern "C" {
int reel_cuda_events_open(struct reel_stream *stream);
int64_t reel_cuda_event(struct reel_stream *stream);
void reel_cuda_events_settle(struct reel_stream *stream);
int64_t reel_cuda_event_ns(int64_t event);
void reel_cuda_range_push(const char *name);
void reel_cuda_range_pop(void);
}

#endif
