/* The formula of the time embedding, written once for float and double. Source: Wan2.1; fps: SkyReels-V2.
 *
 *     s(t) = [cos(t w_k), sin(t w_k)],  w_k = 10000^(-k / half)                  half of `frequencies` each
 *     e  = W2 silu(W1 s + b1) + b2                                               [rows, D]
 *     e0 = Wp silu(e) + bp  (+ g, the same for every row, in models with fps)    [rows, 6 D]
 *     g  = W2' silu(W1' f + b1') + b2',  f: row 0 of the fps embedding for 16 fps, row 1 for any other
 *
 * The transformer's embedding table (time_embedding.h) computes it in float on its device, TeaCache's
 * signals (teacache.h) compute it in double on the host. Each caller passes its own arithmetic, which
 * alone knows the dtype of the arrays.
 *
 * Not collective. */
#ifndef REEL_TIME_FORMULA_H
#define REEL_TIME_FORMULA_H

#include "status.h"
#include "wan.h"

/* y [rows, out] = x [rows, in] weight^T + bias; if silu is 1, then y = silu(y). */
struct reel_time_layer {
    enum reel_tensor weight, bias;
    int64_t in, out;
    int silu;
};

struct reel_time_arithmetic {
    enum reel_status (*linear)(void *context, const struct reel_time_layer *layer, int64_t rows,
                               const void *x, void *y);
    enum reel_status (*silu)(void *context, int64_t count, const void *x, void *y);
    void *context;
};

/* Element k of s(timestep), 0 <= k < frequencies. */
double reel_sinusoid(int64_t timestep, int64_t frequencies, int64_t k);

/* Computes e and, unless e0 is NULL, e0 without g, from `rows` rows of s. hidden [rows, D] is workspace.
 * The errors of the arithmetic. */
enum reel_status reel_time_formula(const struct reel_time_arithmetic *arithmetic,
                                   const struct reel_model *model, int64_t rows, const void *s, void *hidden,
                                   void *e, void *e0);

/* The row of the fps embedding for a job's fps. */
int64_t reel_fps_row(int64_t fps);

/* Computes g [6 D] from a row f [D] of the fps embedding. hidden [D] is workspace. The errors of the
 * arithmetic. */
enum reel_status reel_fps_formula(const struct reel_time_arithmetic *arithmetic,
                                  const struct reel_model *model, const void *f, void *hidden, void *g);

#endif
