/* The plan's numbers as the kernels name them. */
#ifndef REEL_PLAN_DTYPE_H
#define REEL_PLAN_DTYPE_H

#include "ops.h"
#include "plan.h"

/* Not collective. What weights are held as, but for those below, and what enters or leaves a GEMM. */
static inline enum reel_precision reel_plan_dtype(const struct reel_plan *plan)
{
    return plan->work.number_bytes == 4 ? REEL_FP32 : REEL_BFLOAT16;
}

/* Not collective. What the weights of the blocks' linear layers are held as. */
static inline enum reel_precision reel_plan_matrix_dtype(const struct reel_plan *plan)
{
    return plan->work.fp8 ? REEL_FP8 : reel_plan_dtype(plan);
}

#endif
