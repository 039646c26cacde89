/* The CUDA backend's marks for the host, with what they take of ops_cuda.cu. */
#include "trace_cuda.cu"

cudaStream_t reel_cuda_queue(const struct reel_stream *stream)
{
    return static_cast<cudaStream_t>(stream->queue);
}

void reel_cuda_enter(void)
{
}
