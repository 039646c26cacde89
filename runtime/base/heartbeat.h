/* A counter of this process's progress, which the watchdog reads (watchdog.h).
 *
 * reel_heartbeat() is one relaxed increment: cheap enough for every tile of an attention. Not collective; any
 * thread may call these functions. */
#ifndef REEL_HEARTBEAT_H
#define REEL_HEARTBEAT_H

#include <stdint.h>

/* Counts one unit of progress: an operation, a tile, a message, a piece of a file. */
void reel_heartbeat(void);

/* The number of heartbeats since the start. */
int64_t reel_heartbeat_count(void);

/* Sets what this rank is doing, for the watchdog's message: "sampling chunk 0, iteration 3". A longer text is
 * cut to REEL_HEARTBEAT_TEXT_BYTES. Counts as a heartbeat. */
void reel_heartbeat_at(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum { REEL_HEARTBEAT_TEXT_BYTES = 104 };
/* Copies what reel_heartbeat_at set last; "starting" before its first call. */
void reel_heartbeat_text(char words[REEL_HEARTBEAT_TEXT_BYTES]);

#endif
