/* The planned trouble of the fake, and its counts. */
#ifndef REEL_NCCL_TROUBLE_H
#define REEL_NCCL_TROUBLE_H

#include "nccl_fake.h"

/* Whether this call has the trouble; counts the call. */
int reel_nccl_is_planned(enum reel_nccl_trouble trouble);

/* For how many looks the next call stays in progress. */
int64_t reel_nccl_looks(void);

extern struct reel_nccl_counts reel_nccl_counted;

/* Adds 1 to a counter. */
void reel_nccl_count(int64_t *counter);

/* Ends the process with a message, for an error that no test may make. */
void reel_nccl_stop(const char *words);

#endif
