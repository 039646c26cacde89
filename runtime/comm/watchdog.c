/* The thread that listens for signs of life. */
#include "watchdog.h"

#include "comm_nccl.h"
#include "heartbeat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* So many ranks speak one after the other; the first that does is enough for mpirun to end the rest. */
enum { SPEAKERS = 64 };
/* From the first that leaves to the end of the rest mpirun takes two seconds. */
static const double seconds_between_speakers = 4;

static const double seconds_to_abort = 3;
/* A rank that knows of NCCL's failure has so long to say it itself. */
static const double seconds_to_speak = 5;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time); /* whatever happens to the date */
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Sleeps, unless it is closed meanwhile; with the lock held. Returns whether it is closing. */
static int sleep_for(struct reel_watchdog *watchdog, double seconds)
{
    struct timespec until;
    double at = now() + seconds;
    until.tv_sec = (time_t)at;
    until.tv_nsec = (long)((at - (double)until.tv_sec) * 1e9);
    while (!watchdog->closing)
        if (pthread_cond_timedwait(&watchdog->changed, &watchdog->lock, &until) == ETIMEDOUT)
            break;
    return watchdog->closing;
}

/* Ends the process, after so long by that key, because of what is guessed or known. */
static void leave(const struct reel_watchdog *watchdog, double seconds, const char *key, const char *because)
{
    char words[REEL_HEARTBEAT_TEXT_BYTES], host[128] = "";
    reel_heartbeat_text(words);
    gethostname(host, sizeof host - 1);
    fprintf(stderr,
            "reel: error: rank %lld of %lld (host %s, process %lld) got nowhere for %g s%s while "
            "%s: %s\n",
            (long long)watchdog->rank, (long long)watchdog->ranks, host, (long long)getpid(), seconds, key,
            words, because);
    fflush(stderr);
    reel_nccl_abort_all(seconds_to_abort); /* so that a GPU does not wait for this one */
    _exit(REEL_BAD_COMM);                  /* nothing else: whatever would be tidied up may hang too */
}

static void *listen(void *context)
{
    struct reel_watchdog *watchdog = context;
    double pause = watchdog->timeout_s / 20 < 1 ? watchdog->timeout_s / 20 : 1, heard_at = now(),
           woke_at = heard_at;
    int64_t heard = reel_heartbeat_count();
    pthread_mutex_lock(&watchdog->lock);
    while (!sleep_for(watchdog, pause)) {
        if (now() - woke_at > 3 * pause + 1) /* this process itself was stopped: the silence says nothing */
            heard_at = now();
        woke_at = now();
        double later = seconds_between_speakers * (double)(watchdog->rank % SPEAKERS);
        if (reel_heartbeat_count() != heard) {
            heard = reel_heartbeat_count();
            heard_at = now();
        } else if (now() - heard_at > watchdog->timeout_s + later) {
            leave(watchdog, watchdog->timeout_s, " (communication.timeout_s)",
                  "another rank hangs, or a host or the network is lost");
        } else if (now() - heard_at > seconds_to_speak + later && reel_nccl_check_all() != REEL_OK) {
            leave(watchdog, seconds_to_speak, "", reel_error_here()->cause);
        }
    }
    pthread_mutex_unlock(&watchdog->lock);
    return NULL;
}

enum reel_status reel_watchdog_open(struct reel_watchdog *watchdog, int64_t rank, int64_t ranks,
                                    double timeout_s)
{
    pthread_condattr_t steady;
    memset(watchdog, 0, sizeof *watchdog);
    watchdog->rank = rank;
    watchdog->ranks = ranks;
    watchdog->timeout_s = timeout_s;
    pthread_mutex_init(&watchdog->lock, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog->changed, &steady);
    pthread_condattr_destroy(&steady);
    watchdog->running = pthread_create(&watchdog->thread, NULL, listen, watchdog) == 0;
    REEL_NEED(watchdog->running, REEL_NO_MEMORY, "rank %lld could not start the thread of its watchdog",
              (long long)rank);
    return REEL_OK;
}

void reel_watchdog_close(struct reel_watchdog *watchdog)
{
    if (watchdog->running) {
        pthread_mutex_lock(&watchdog->lock);
        watchdog->closing = 1;
        pthread_cond_broadcast(&watchdog->changed);
        pthread_mutex_unlock(&watchdog->lock);
        pthread_join(watchdog->thread, NULL);
        pthread_cond_destroy(&watchdog->changed);
        pthread_mutex_destroy(&watchdog->lock);
    }
    memset(watchdog, 0, sizeof *watchdog);
}
