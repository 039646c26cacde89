/* A sign of life: whatever gets on says so, and a watchdog listens.
 *
 * reel_heartbeat() is one relaxed increment: cheap enough for every tile of an attention. Not collective. */
#ifndef REEL_HEARTBEAT_H
#define REEL_HEARTBEAT_H

#include <stdint.h>

/* Something was done: an operation, a tile, a message, a piece of a file. */
void reel_heartbeat(void);

/* How often. */
int64_t reel_heartbeat_count(void);

/* What this rank is at, for the words of a watchdog: "sampling chunk 0, iteration 3". Cut at 100 bytes. */
void reel_heartbeat_at(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Copies what was said last. */
enum { REEL_HEARTBEAT_TEXT_BYTES = 104 };
void reel_heartbeat_text(char words[REEL_HEARTBEAT_TEXT_BYTES]);

#endif
