/* Signals that become a notice. */
#include "notice.h"

#include "status.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

/* Nanoseconds of the steady clock; 0: not yet. */
static atomic_llong began_ns, told_ns;
static atomic_int hurry_code = REEL_BAD_COMM;

static const long long patience_ns = 10 * 1000000000LL;

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* whatever happens to the date */
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void *listen_for_ever(void *context)
{
    const sigset_t *signals = context;
    for (int signal;;) {
        long long first = 0;
        if (sigwait(signals, &signal) != 0)
            continue;
        long long now = now_ns();
        if (!atomic_compare_exchange_strong(&told_ns, &first, now) && now - first > patience_ns)
            _exit(atomic_load(&hurry_code));
    }
    return NULL;
}

/* A thread of its own waits for the signals, which every other has blocked. A handler would run on whichever thread
 * computes, and generated code (oneDNN's GEMM) does not survive that: the heap was torn after a few signals. */
void reel_notice_listen(void)
{
    static const int heard[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
    static sigset_t signals;
    sigset_t before, all;
    pthread_t thread;
    sigemptyset(&signals);
    for (size_t s = 0; s < sizeof heard / sizeof heard[0]; s++) {
        sigaddset(&signals, heard[s]);
        signal(heard[s], SIG_DFL); /* shells start what is in the background with some of them ignored */
    }
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* for the thread, which takes no other signal either */
    int failed = pthread_create(&thread, NULL, listen_for_ever, &signals);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) /* then a notice ends the process, and checkpoints are what they were */
        return;
    pthread_detach(thread);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* for this thread and all that it starts */
    atomic_store(&began_ns, now_ns());
}

int reel_notice_listens(void)
{
    return atomic_load(&began_ns) != 0;
}

static double seconds_since(long long ns)
{
    return 1e-9 * (double)(now_ns() - ns);
}

double reel_notice_seconds(void)
{
    long long told = atomic_load(&told_ns);
    return told ? seconds_since(told) : -1;
}

double reel_notice_uptime(void)
{
    long long began = atomic_load(&began_ns);
    return began ? seconds_since(began) : 0;
}

void reel_notice_hurry(int code)
{
    atomic_store(&hurry_code, code);
}
