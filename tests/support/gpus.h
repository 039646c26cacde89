/* The GPUs of tests that need one: they are skipped where there is none.
 *
 *     if (!gpus_take(0)) {
 *         MPI_Finalize();
 *         return GPUS_SKIPPED;
 *     } */
#ifndef REEL_TEST_GPUS_H
#define REEL_TEST_GPUS_H

enum { GPUS_SKIPPED = 77 };

/* Collective over MPI_COMM_WORLD, whose ranks are on one host: each takes the GPU of its number, modulo
 * those there are. alone: NCCL and a GPU of its own for every rank. 0, on every rank and said once, where
 * these are missing; the program ends where a GPU that is there refuses. */
int gpus_take(int alone);

#endif
