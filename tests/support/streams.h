/* Three streams of the shadow backend and a region of its memory, for tests of its checks. */
#ifndef REEL_TEST_STREAMS_H
#define REEL_TEST_STREAMS_H

#include "ops.h"

enum { FLOATS = 1024, BYTES = FLOATS * 4, N = 16 };

/* Streams 0, 1 and 2 of the shadow, which nothing orders; and unwritten device memory. x, y and z begin at
 * its bytes 64, 256 and 512; each has room for N floats or more before the next one. */
extern struct reel_stream a, b, c;
extern float *device, *x, *y, *z, host[FLOATS];

/* Opens the streams and allocates the memory. */
void start(void);

/* fill writes N floats to `to`; use reads N floats from `from` and writes N to `to`. */
void fill(struct reel_stream *stream, float *to);
void use(struct reel_stream *stream, const float *from, float *to);

#endif
