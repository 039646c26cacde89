/* What a run says on standard output: one line per event. On rank 0; not collective. */
#ifndef REEL_PROGRESS_H
#define REEL_PROGRESS_H

#include "event.h"

void reel_progress(const struct reel_event *event);

#endif
