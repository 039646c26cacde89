/* Counting signs of life. */
#include "pulse.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_llong pulses;
static char at[REEL_PULSE_WORDS] = "starting";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void reel_pulse(void)
{
    atomic_fetch_add_explicit(&pulses, 1, memory_order_relaxed);
}

int64_t reel_pulse_count(void)
{
    return atomic_load_explicit(&pulses, memory_order_relaxed);
}

void reel_pulse_at(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&lock);
    vsnprintf(at, sizeof at, format, arguments);
    pthread_mutex_unlock(&lock);
    va_end(arguments);
    reel_pulse();
}

void reel_pulse_words(char words[REEL_PULSE_WORDS])
{
    pthread_mutex_lock(&lock);
    memcpy(words, at, sizeof at);
    pthread_mutex_unlock(&lock);
}
