/* Arrays of an operation under test: inputs that are made up, each a region of its own, and results that
 * are gathered. */
#ifndef REEL_TEST_ARRAYS_H
#define REEL_TEST_ARRAYS_H

#include "ops.h"

/* Where the operations take place. */
extern const struct reel_ops *ops;
extern struct reel_stream stream;

/* How many inputs there were since open, and of which one, if any, the first or the last byte is missing. */
extern int64_t inputs, hole, hole_is_last;

/* What was gathered since open. */
extern unsigned char results[1 << 16];
extern int64_t result_bytes;

/* The stream is opened; and closed, and all arrays are freed. */
void arrays_open(const struct reel_scratch *max);
void arrays_close(void);

/* Memory that nobody has written. */
void *room(int64_t bytes);

/* Inputs: rows of bytes; numbers of which bfloat16 has every one; 1, 2, 3 .. in double. */
void *bytes_in(const void *values, int64_t rows, int64_t row_bytes, int64_t stride_bytes);
void *strided_in(int64_t rows, int64_t width, int64_t stride, enum reel_precision held);
void *numbers_in(int64_t width, enum reel_precision held);
void *floats_in(int64_t width);
void *doubles_in(int64_t width);

/* Gathers rows of bytes; or the whole of an array. */
void result_rows(const void *at, int64_t rows, int64_t row_bytes, int64_t stride_bytes);
void result(const void *at);

#endif
