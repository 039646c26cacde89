/* What the libraries of a GPU chose in this process, for reel_gpu_gemm_algorithms: lines of text, each once.
 *
 *     reel_gemm_algorithms_note("gemm 1536 -> 8960 bf16: algorithm 66, tile 20, stages 36, ...");
 *
 * Not collective. From any thread. */
#ifndef REEL_GEMM_ALGORITHMS_H
#define REEL_GEMM_ALGORITHMS_H

void reel_gemm_algorithms_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
