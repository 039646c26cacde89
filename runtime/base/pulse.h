/* A sign of life: whatever gets on says so, and a watchdog listens.
 *
 * reel_pulse() is one relaxed increment: cheap enough for every tile of an attention. Not collective. */
#ifndef REEL_PULSE_H
#define REEL_PULSE_H

#include <stdint.h>

/* Something was done: an operation, a tile, a message, a piece of a file. */
void reel_pulse(void);

/* How often. */
int64_t reel_pulse_count(void);

/* What this rank is at, for the words of a watchdog: "sampling chunk 0, iteration 3". Cut at 100 bytes. */
void reel_pulse_at(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Copies what was said last. */
enum { REEL_PULSE_WORDS = 104 };
void reel_pulse_words(char words[REEL_PULSE_WORDS]);

#endif
