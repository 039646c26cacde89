/* Marks and ranges of the CUDA backend, as members of its table (ops.h). For the C++ of *_cuda.cu only.
 *
 * A mark is a CUDA event, of a pool that marks_open fills once: 131,072, so that 65,536 spans of a profile
 * are measured on the device. Ranges are NVTX's, which Nsight Systems shows; without it a range costs
 * nothing. */
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
