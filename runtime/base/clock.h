/* A clock of seconds. Not collective; any thread may call it. */
#ifndef REEL_CLOCK_H
#define REEL_CLOCK_H

/* Seconds of a clock that only goes forward, from some moment of the past. */
double reel_seconds(void);

#endif
