/* Arrays for an operation under test: generated inputs, each in a region of its own, and results, which are
 * collected. */
#ifndef REEL_TEST_ARRAYS_H
#define REEL_TEST_ARRAYS_H

#include "ops.h"

/* The backend under test, and the stream that runs the operations. */
extern const struct reel_ops *ops;
extern struct reel_stream stream;

/* inputs: how many inputs were made since arrays_open. hole: the input of which one byte stays unwritten, the
 * first one or, with hole_is_last, the last one; -1: none. */
extern int64_t inputs, hole, hole_is_last;

/* The results collected since arrays_open. */
extern unsigned char results[1 << 16];
extern int64_t result_bytes;

/* arrays_open opens the stream; arrays_close closes it and frees all arrays. */
void arrays_open(const struct reel_scratch *max);
void arrays_close(void);

/* Memory of the backend that nobody has written; arrays_close frees it. */
void *room(int64_t bytes);

/* Inputs. bytes_in: rows of given bytes. strided_in, numbers_in and floats_in: values in [-1, 1) that
 * bfloat16 represents exactly, held as fp32 or bfloat16. doubles_in: 1, 2, 3, ... in double. */
void *bytes_in(const void *values, int64_t rows, int64_t row_bytes, int64_t stride_bytes);
void *strided_in(int64_t rows, int64_t width, int64_t stride, enum reel_dtype held);
void *numbers_in(int64_t width, enum reel_dtype held);
void *floats_in(int64_t width);
void *doubles_in(int64_t width);

/* Appends to results: rows of bytes, or a whole array. */
void result_rows(const void *at, int64_t rows, int64_t row_bytes, int64_t stride_bytes);
void result(const void *at);

#endif
