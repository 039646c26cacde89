/* GPUs for the tests that need them. Such a test is skipped if there are none.
 *
 *     if (!gpus_take(0)) {
 *         MPI_Finalize();
 *         return GPUS_SKIPPED;
 *     } */
#ifndef REEL_TEST_GPUS_H
#define REEL_TEST_GPUS_H

enum { GPUS_SKIPPED = 77 };

/* Collective over MPI_COMM_WORLD, whose ranks are on one host. Rank r takes GPU r, modulo the number of GPUs.
 * With alone, the test needs NCCL and a GPU of its own for every rank. Returns 1; if these are missing,
 * returns 0 on every rank, and rank 0 prints why. Ends the program if a GPU fails. */
int gpus_take(int alone);

#endif
