/* What the stand-in asks of the trouble that is planned for it. */
#ifndef REEL_NCCL_TROUBLE_H
#define REEL_NCCL_TROUBLE_H

#include "nccl_fake.h"

/* Whether this call is in trouble. */
int reel_nccl_is_planned(enum reel_nccl_trouble trouble);

/* How many looks the next call is in progress for. */
int64_t reel_nccl_looks(void);

extern struct reel_nccl_counts reel_nccl_counted;

/* One more. */
void reel_nccl_count(int64_t *counter);

/* Ends the process with a message, for what a test must never do. */
void reel_nccl_stop(const char *words);

#endif
