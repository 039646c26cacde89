/* The events of the CUDA backend (trace_cuda.cu) compiled for the host, with the two functions of ops_cuda.cu
 * that they call. */
#include "trace_cuda.cu"

cudaStream_t reel_cuda_queue(const struct reel_stream *stream)
{
    return static_cast<cudaStream_t>(stream->queue);
}

void reel_cuda_enter(void)
{
}
