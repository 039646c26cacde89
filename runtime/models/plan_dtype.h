/* The dtypes of the plan, as the kernels name them. */
#ifndef REEL_PLAN_DTYPE_H
#define REEL_PLAN_DTYPE_H

#include "ops.h"
#include "plan.h"

/* Not collective. The plan's dtype: of all weights except those below, and of the input and output of a
 * GEMM. */
static inline enum reel_precision reel_plan_dtype(const struct reel_plan *plan)
{
    return plan->work.number_bytes == 4 ? REEL_FP32 : REEL_BFLOAT16;
}

/* Not collective. The dtype of the weights of the blocks' linear layers. */
static inline enum reel_precision reel_plan_matrix_dtype(const struct reel_plan *plan)
{
    return plan->work.fp8 ? REEL_FP8 : reel_plan_dtype(plan);
}

#endif
