/* The products that a rank computes in one forward of one branch, by shape, and what oneDNN takes for them alone
 * (baseline.h): the floor of the forward. */
#ifndef REEL_FORWARD_SHAPES_H
#define REEL_FORWARD_SHAPES_H

#include "baseline.h"
#include "plan.h"

enum forward_part { FORWARD_SELF, FORWARD_CROSS, FORWARD_FFN, FORWARD_ENDS, FORWARD_PARTS };

/* "self attention" and so on, as a trace (trace.h) calls them; patch embedding and head are the ends. */
const char *forward_part_name(enum forward_part part);

enum { SHAPES_MAX = 10, SHAPES_ROUNDS_MAX = 64 };

/* One shape, how often a part of the forward has it, and its times so far. */
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

/* Not collective. The shapes of a rank, and their arrays; in bf16 where it is asked for and this CPU has it. */
void forward_shapes_open(struct forward_shapes *shapes, const struct reel_plan *plan, int64_t rank, int bf16);
void forward_shapes_close(struct forward_shapes *shapes);

/* FLOPs of all, and the seconds that they take at the median times of a part, or FORWARD_PARTS: of all. */
double forward_shapes_flops(const struct forward_shapes *shapes);
double forward_shapes_floor(const struct forward_shapes *shapes, enum forward_part part);

#endif
