/* Whether two runs have made the same. */
#ifndef REEL_TEST_LATENTS_H
#define REEL_TEST_LATENTS_H

/* Two outputs of the test's folder are complete and have the very same latents. */
int same_latents(const char *a, const char *b);

#endif
