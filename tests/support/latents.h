/* Compares the outputs of two runs. */
#ifndef REEL_TEST_LATENTS_H
#define REEL_TEST_LATENTS_H

/* Whether two outputs in the test's folder are complete and their latents equal bit for bit. */
int same_latents(const char *a, const char *b);

#endif
