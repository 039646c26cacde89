/* The thread that reads the heartbeats. */
#include "watchdog.h"

#include "comm_nccl.h"
#include "heartbeat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Rank r waits (r mod SPEAKERS) times seconds_between_speakers longer: the first rank that exits is enough
 * for mpirun to end the rest, so usually only its message is printed. */
enum { SPEAKERS = 64 };
/* mpirun takes two seconds to end the other ranks after the first has exited. */
static const double seconds_between_speakers = 4;

/* The longest wait for NCCL's communicators to abort. */
static const double seconds_to_abort = 3;
/* A rank whose NCCL has failed has this long to report it in the normal way. */
static const double seconds_to_speak = 5;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time); /* does not jump when the date is set */
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Sleeps until the time has passed or the watchdog is closed; the caller holds the lock. Returns whether it
 * is closing. */
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

/* Prints the message and ends the process: no heartbeat for so many seconds, set by that job key, for that
 * reason. */
static void end_process(const struct reel_watchdog *watchdog, double seconds, const char *key,
                        const char *because)
{
    char words[REEL_HEARTBEAT_TEXT_BYTES], host[128] = "";
    reel_heartbeat_text(words);
    gethostname(host, sizeof host - 1);
    fprintf(stderr,
            "reel: error: rank %lld of %lld (host %s, process %lld) made no progress for %g s%s while "
            "%s: %s\n",
            (long long)watchdog->rank, (long long)watchdog->ranks, host, (long long)getpid(), seconds, key,
            words, because);
    fflush(stderr);
    reel_nccl_abort_all(seconds_to_abort); /* so that no other GPU waits for this one */
    _exit(REEL_BAD_COMM);                  /* no cleanup: it may hang, too */
}

static void *watch_heartbeats(void *context)
{
    struct reel_watchdog *watchdog = context;
    double pause = watchdog->timeout_s / 20 < 1 ? watchdog->timeout_s / 20 : 1, heard_at = now(),
           woke_at = heard_at;
    int64_t heard = reel_heartbeat_count();
    pthread_mutex_lock(&watchdog->lock);
    while (!sleep_for(watchdog, pause)) {
        if (now() - woke_at > 3 * pause + 1) /* this process itself was stopped: not a hang */
            heard_at = now();
        woke_at = now();
        double later = seconds_between_speakers * (double)(watchdog->rank % SPEAKERS);
        if (reel_heartbeat_count() != heard) {
            heard = reel_heartbeat_count();
            heard_at = now();
        } else if (now() - heard_at > watchdog->timeout_s + later) {
            end_process(watchdog, watchdog->timeout_s, " (communication.timeout_s)",
                        "another rank hangs, or a host or the network is lost");
        } else if (now() - heard_at > seconds_to_speak + later && reel_nccl_check_all() != REEL_OK) {
            end_process(watchdog, seconds_to_speak, "", reel_error_here()->cause);
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
    watchdog->running = pthread_create(&watchdog->thread, NULL, watch_heartbeats, watchdog) == 0;
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
