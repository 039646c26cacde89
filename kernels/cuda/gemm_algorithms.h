/* Which algorithms the GPU's libraries chose in this process: lines of text, each kept once.
 * reel_gpu_gemm_algorithms reports them.
 *
 *     reel_gemm_algorithms_note("gemm 1536 -> 8960 bf16: algorithm 66, tile 20, stages 36, ...");
 *
 * Not collective. May be called from any thread. */
#ifndef REEL_GEMM_ALGORITHMS_H
#define REEL_GEMM_ALGORITHMS_H

void reel_gemm_algorithms_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
