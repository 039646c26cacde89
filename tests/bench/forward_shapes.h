/* The matrix products that a rank computes in one forward of one branch, by shape, and the time of oneDNN for
 * them alone (baseline.h): the floor of the forward. */
#ifndef REEL_FORWARD_SHAPES_H
#define REEL_FORWARD_SHAPES_H

#include "baseline.h"
#include "plan.h"

enum forward_part { FORWARD_SELF, FORWARD_CROSS, FORWARD_FFN, FORWARD_ENDS, FORWARD_PARTS };

/* The name of a part, such as "self attention", as a trace (trace.h) has it; patch embedding and head are the
 * ends. */
const char *forward_part_name(enum forward_part part);

enum { SHAPES_MAX = 10, SHAPES_ROUNDS_MAX = 64 };

/* A shape, how many times a part of the forward computes it, and its measured seconds. */
struct forward_shape {
    const char *what;
    enum forward_part part;
    struct baseline_work work;
    double times;
    struct baseline baseline;
    double seconds[SHAPES_ROUNDS_MAX];
};

struct forward_shapes {
    struct forward_shape all[SHAPES_MAX];
    int64_t count, rounds;
};

/* Not collective. Opens the shapes of a rank with their arrays; in bf16 if bf16 is 1 and this CPU has it. */
void forward_shapes_open(struct forward_shapes *shapes, const struct reel_plan *plan, int64_t rank, int bf16);
void forward_shapes_close(struct forward_shapes *shapes);

/* The FLOPs of all shapes; and the median seconds of a part, or with FORWARD_PARTS of all parts. */
double forward_shapes_flops(const struct forward_shapes *shapes);
double forward_shapes_floor(const struct forward_shapes *shapes, enum forward_part part);

#endif
