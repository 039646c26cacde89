/* The counter of heartbeats, and the text beside it. */
#include "heartbeat.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_llong beats;
static char at[REEL_HEARTBEAT_TEXT_BYTES] = "starting";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void reel_heartbeat(void)
{
    atomic_fetch_add_explicit(&beats, 1, memory_order_relaxed);
}

int64_t reel_heartbeat_count(void)
{
    return atomic_load_explicit(&beats, memory_order_relaxed);
}

void reel_heartbeat_at(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&lock);
    vsnprintf(at, sizeof at, format, arguments);
    pthread_mutex_unlock(&lock);
    va_end(arguments);
    reel_heartbeat();
}

void reel_heartbeat_text(char words[REEL_HEARTBEAT_TEXT_BYTES])
{
    pthread_mutex_lock(&lock);
    memcpy(words, at, sizeof at);
    pthread_mutex_unlock(&lock);
}
