/* Streams and memory of the shadow backend. */
#include "streams.h"

struct reel_stream a, b, c;
float *device, *x, *y, *z, host[FLOATS];

void start(void)
{
    reel_stream_open_side(&a, &reel_ops_shadow);
    reel_stream_open_side(&b, &reel_ops_shadow);
    reel_stream_open_side(&c, &reel_ops_shadow);
    device = reel_ops_shadow.allocate(BYTES);
    x = device + N;
    y = device + 4 * N;
    z = device + 8 * N;
}

void fill(struct reel_stream *stream, float *to)
{
    reel_clear(stream, (struct reel_clear){.bytes = N * 4, .to = to});
}

void use(struct reel_stream *stream, const float *from, float *to)
{
    reel_silu(stream, (struct reel_silu){.count = N, .x = from, .y = to});
}
