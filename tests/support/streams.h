/* Three streams of the shadow backend and a region of its memory, for tests of its checks. */
#ifndef REEL_TEST_STREAMS_H
#define REEL_TEST_STREAMS_H

#include "ops.h"

enum { FLOATS = 1024, BYTES = FLOATS * 4, N = 16 };

/* Streams 0, 1 and 2, beside each other; and device memory that nobody has written, of which x, y and z
 * are N floats or more that are apart: from bytes 64, 256 and 512 on. */
extern struct reel_stream a, b, c;
extern float *device, *x, *y, *z, host[FLOATS];

void start(void);

/* An operation that writes N floats, and one that reads and writes as many. */
void fill(struct reel_stream *stream, float *to);
void use(struct reel_stream *stream, const float *from, float *to);

#endif
